//! `POST /browsers/{id_or_name}/replays`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use browserd_api::ReplayId;
use browserd_api::replays::{
    DURATION_LIMIT, FRAMERATE_DEFAULT, FRAMERATE_LIMIT, Replay, StartReplay,
};
use browserd_fleet::LiveSession;
use browserd_protocol::replay::Order;
use browserd_rest::{Error, Optional, ReadBody, Refused, Result, refusals};
use browserd_store::ReplayRow;
use http::StatusCode;

use super::{Replays, guest, show};
use crate::caller::Sessions;
use crate::fields::{Body, Checked, Fields};
use crate::public_url::PublicUrl;
use crate::refusal::{self, FindSession};
use crate::resource::{Mine, ignored};
use crate::token::Tokens;
use crate::wire::log::AboutSession;

refusals! {
    /// Having the guest begin with a recording.
    pub(super) StartRecording: TooManyReplays, NotImplemented, InsufficientStorage, UpstreamUnavailable, Internal;
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
/// stopped, at `max_duration_in_seconds`, at the size this server allows (2 GiB by default), when the
/// session's disk or the host's is full, or with the session, and stays after that.
///
/// With `record_audio` it has what the browser plays as AAC. A page that was playing something before
/// the session's first recording with sound may have to start it again to be heard.
#[utoipa::path(post, path = "/browsers/{id_or_name}/replays", operation_id = "browsers.replays.start", tag = "replays",
    params(("id_or_name" = String, Path, description = "Id or name of the session.")),
    request_body(content = Option<StartReplay>, description = "What to record."),
    responses((status = 201, description = "The recording is under way.", body = Replay,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know."))),
        Refused<(ReadBody, FindSession, StartRecording)>))]
pub(super) async fn start(
    State(tokens): State<Tokens>,
    State(public): State<Arc<PublicUrl>>,
    State(replays): State<Replays>,
    sessions: Sessions,
    Path(id_or_name): Path<String>,
    Optional(body): Optional<Checked<StartReplay>>,
) -> Result<Response> {
    let (asked, ignored) = body.finish()?;
    let session = sessions.reach(&id_or_name).await.map_err(refusal::from_fleet)?;
    let order = order(&asked, replays.recordings()?.limit_bytes);
    // In a task of its own: a client that hangs up meanwhile must not leave a recording behind that
    // nobody knows of.
    let beginning = replays.0.tasks.spawn(begin(replays.clone(), session.clone(), order));
    let row = beginning.await.map_err(Error::internal)??;
    let mut response =
        (StatusCode::CREATED, Json(show(&tokens, &public, sessions.project(), &row)?))
            .into_response();
    ignored::name_in_header(response.headers_mut(), &ignored);
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

impl Body for StartReplay {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            framerate: fields.number("framerate", 1..=FRAMERATE_LIMIT),
            max_duration_in_seconds: fields.number("max_duration_in_seconds", 1..=DURATION_LIMIT),
            record_audio: fields.flag("record_audio"),
        })
    }
}

fn order(asked: &StartReplay, limit_bytes: u64) -> Order {
    Order {
        replay_id: ReplayId::generate(),
        framerate: asked.framerate.unwrap_or(FRAMERATE_DEFAULT),
        max_duration_in_seconds: asked.max_duration_in_seconds,
        record_audio: asked.record_audio.unwrap_or(false),
        limit_bytes,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn asked(body: &Value) -> Result<(StartReplay, Vec<String>)> {
        Checked::of(body).finish()
    }

    #[test]
    fn settings_have_defaults() {
        let (plain, ignored) = asked(&json!({"framerate": null, "later": 1})).unwrap();
        assert_eq!(ignored, ["later"]);
        let plain = order(&plain, 7);
        assert_eq!((plain.framerate, plain.record_audio, plain.limit_bytes), (10, false, 7));
        assert_eq!(plain.max_duration_in_seconds, None);
        let all = json!({"framerate": 60, "max_duration_in_seconds": 5, "record_audio": true});
        let all = order(&asked(&all).unwrap().0, 7);
        assert_eq!((all.framerate, all.record_audio), (60, true));
        assert_eq!(all.max_duration_in_seconds, Some(5));
    }

    #[test]
    fn every_setting_that_does_not_fit_is_named() {
        const BOTH: [&str; 2] = ["framerate", "max_duration_in_seconds"];
        for (body, blamed) in [
            (json!({"framerate": 0}), &BOTH[..1]),
            (json!({"framerate": 61}), &BOTH[..1]),
            (json!({"max_duration_in_seconds": 0}), &BOTH[1..]),
            (json!({"framerate": "fast", "max_duration_in_seconds": u64::MAX}), &BOTH[..]),
            (json!({"record_audio": "yes"}), &["record_audio"][..]),
        ] {
            let error = asked(&body).unwrap_err();
            let fields: Vec<_> = error.0.body().details.iter().map(|d| d.code.as_str()).collect();
            assert_eq!(fields, blamed, "{body}");
        }
    }
}
