//! `POST /browsers/{id_or_name}/replays/{replay_id}/stop`.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use browserd_rest::{Refused, Result, refusals};
use http::StatusCode;

use super::{Replays, find, guest, session};
use crate::caller::Sessions;
use crate::refusal::FindSession;
use crate::resource::Mine;
use crate::resource::refusals::Find;
use crate::wire::log::AboutSession;

/// How long a client waits for the file to be finished; below the 60 s after which the official
/// SDKs give up.
const FINISHED_WITHIN: Duration = Duration::from_secs(40);

refusals! {
    /// Having the guest stop a recording.
    pub(super) StopRecording: UpstreamUnavailable;
}

/// Stop a recording
///
/// Answers when the file is finished and can be downloaded, or after 40 seconds, should it take
/// longer than that: then downloads answer 202 for a while. Stopping a recording that has ended is
/// fine.
#[utoipa::path(post, path = "/browsers/{id_or_name}/replays/{replay_id}/stop", operation_id = "browsers.replays.stop", tag = "replays",
    params(("id_or_name" = String, Path, description = "Id or name of the session."),
        ("replay_id" = String, Path, description = "Id of the recording.")),
    responses((status = 200, description = "The recording has ended."),
        Refused<(FindSession, Find<Replays>, StopRecording)>))]
pub(super) async fn stop(
    State(replays): State<Replays>,
    sessions: Sessions,
    mine: Mine<Replays>,
    Path((id_or_name, replay_id)): Path<(String, String)>,
) -> Result<Response> {
    let session = session(&sessions, &id_or_name).await?;
    let row = find(&mine, &session, &replay_id).await?;
    if row.end.is_none() {
        if let Ok(live) = sessions.live(session.id.as_str()) {
            let stopped = guest::stop(&replays.0.guests, &live, &row.id).await;
            // One that has just ended, or whose session has, is stopped all the same.
            if let (Err(error), None) = (stopped, live.ended())
                && find(&mine, &session, &replay_id).await?.end.is_none()
            {
                return Err(error.refusal(&live).await);
            }
        }
        let _ = tokio::time::timeout(FINISHED_WITHIN, replays.over(&row.id)).await;
    }
    let mut response = StatusCode::OK.into_response();
    response.extensions_mut().insert(AboutSession(session.id));
    Ok(response)
}
