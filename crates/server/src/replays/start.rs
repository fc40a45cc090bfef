//! `POST /browsers/{id_or_name}/replays`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use browserd_api::replays::{
    DURATION_LIMIT, FRAMERATE_DEFAULT, FRAMERATE_LIMIT, Replay, StartReplay,
};
use browserd_api::{ApiError, ErrorDetail, ReplayId};
use browserd_fleet::LiveSession;
use browserd_protocol::replay::Order;
use browserd_rest::{Error, Optional, ReadBody, Refused, Result, refusals};
use browserd_store::ReplayRow;
use http::StatusCode;

use super::{Replays, guest, show};
use crate::caller::Sessions;
use crate::public_url::PublicUrl;
use crate::refusal::{self, FindSession};
use crate::resource::Mine;
use crate::token::Tokens;
use crate::wire::log::AboutSession;

refusals! {
    /// Having the guest begin with a recording.
    pub(super) StartRecording: TooManyReplays, NotImplemented, UpstreamUnavailable, Internal;
}

/// Start a recording
///
/// Records the screen of a headful session, with the pointer, or the page in front of a headless one,
/// as MP4 (H.264). Answers when the first frame has been taken. The frame rate is an upper bound:
/// what does not change costs next to nothing. A session may have eight recordings under way, each
/// with settings of its own; they do not keep it from timing out.
///
/// The recording keeps the size that the screen has at its start, made even; should the screen's size
/// change, what it shows is fitted into that. It goes on when Chromium restarts. It ends when it is
/// stopped, at `max_duration_in_seconds`, at the size this server allows (2 GiB by default) or with
/// the session, and stays after that.
///
/// With `record_audio` it has what the browser plays as AAC. A page that was playing something before
/// the session's first recording with sound may have to start it again to be heard.
#[utoipa::path(post, path = "/browsers/{id_or_name}/replays", operation_id = "browsers.replays.start", tag = "replays",
    params(("id_or_name" = String, Path, description = "Id or name of the session.")),
    request_body(content = Option<StartReplay>, description = "What to record."),
    responses((status = 201, description = "The recording is under way.", body = Replay),
        Refused<(ReadBody, FindSession, StartRecording)>))]
pub(super) async fn start(
    State(tokens): State<Tokens>,
    State(public): State<Arc<PublicUrl>>,
    State(replays): State<Replays>,
    sessions: Sessions,
    Path(id_or_name): Path<String>,
    Optional(body): Optional<StartReplay>,
) -> Result<Response> {
    let session = sessions.live(&id_or_name).map_err(refusal::from_fleet)?;
    let order = order(&body, replays.recordings()?.limit_bytes)?;
    // In a task of its own: a client that hangs up meanwhile must not leave a recording behind that
    // nobody knows of.
    let beginning = replays.0.tasks.spawn(begin(replays.clone(), session.clone(), order));
    let row = beginning.await.map_err(Error::internal)??;
    let mut response =
        (StatusCode::CREATED, Json(show(&tokens, &public, sessions.project(), &row)?))
            .into_response();
    response.extensions_mut().insert(AboutSession(session.id().clone()));
    Ok(response)
}

async fn begin(replays: Replays, session: LiveSession, order: Order) -> Result<ReplayRow> {
    let _activity = session.activity();
    let started = match guest::start(&replays.0.guests, &session, &order).await {
        Ok(started) => started,
        Err(error) => return Err(error.refusal(&session).await),
    };
    let row = ReplayRow {
        id: order.replay_id,
        session_id: session.id().clone(),
        started_at: started.started_at,
        end: None,
    };
    if let Err(error) = Mine::<Replays>::of(Arc::clone(replays.0.fleet.store()), session.project())
        .insert(&row)
        .await
    {
        guest::delete(&replays.0.guests, &session, &row.id).await;
        return Err(error);
    }
    replays.follow(session, row.clone());
    Ok(row)
}

fn order(body: &StartReplay, limit_bytes: u64) -> Result<Order> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, message: String| {
        faults.push(ErrorDetail { code: field.to_owned(), message });
    };
    let framerate = body.framerate.unwrap_or(FRAMERATE_DEFAULT);
    if !(1..=FRAMERATE_LIMIT).contains(&framerate) {
        fault("framerate", format!("must be from 1 to {FRAMERATE_LIMIT} frames a second"));
    }
    if body.max_duration_in_seconds.is_some_and(|seconds| !(1..=DURATION_LIMIT).contains(&seconds))
    {
        fault("max_duration_in_seconds", format!("must be from 1 to {DURATION_LIMIT}"));
    }
    if !faults.is_empty() {
        return Err(Error(ApiError::fields(faults)));
    }
    Ok(Order {
        replay_id: ReplayId::generate(),
        framerate,
        max_duration_in_seconds: body.max_duration_in_seconds,
        record_audio: body.record_audio.unwrap_or(false),
        limit_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_defaults_and_bounds() {
        let plain = order(&StartReplay::default(), 7).unwrap();
        assert_eq!((plain.framerate, plain.record_audio, plain.limit_bytes), (10, false, 7));
        assert_eq!(plain.max_duration_in_seconds, None);
        for (framerate, duration, blamed) in [
            (Some(0), None, vec!["framerate"]),
            (Some(61), None, vec!["framerate"]),
            (None, Some(0), vec!["max_duration_in_seconds"]),
            (Some(0), Some(u64::MAX), vec!["framerate", "max_duration_in_seconds"]),
        ] {
            let body =
                StartReplay { framerate, max_duration_in_seconds: duration, record_audio: None };
            let error = order(&body, 7).unwrap_err();
            let fields: Vec<_> = error.0.body().details.iter().map(|d| d.code.as_str()).collect();
            assert_eq!(fields, blamed);
        }
    }
}
