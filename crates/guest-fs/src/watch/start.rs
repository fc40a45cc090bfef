//! `POST /fs/watch`.

use std::sync::Arc;

use axum::extract::State;
use browserd_api::ErrorCode;
use browserd_api::fs::{WatchRequest, WatchStarted};
use browserd_guest_http::refusals::{BodyRefusals, FileRefusals, Refusals};
use browserd_rest::{Error, Json, Result};
use http::StatusCode;
use rustix::io::Errno;

use super::super::path::Given;
use super::super::{Files, blocking, place};
use super::Watch;
use super::ring::Ring;
use super::tree::{FOLDERS, Tree};

/// Watch a folder.
///
/// From the answer on nothing that happens to the folder is missed; read it at
/// `/fs/watch/{watch_id}/events`. `recursive` watches the folders below it too (up to 8192), links
/// not followed; a folder that is made later is watched from its first entry on. Up to 32 watches at
/// one time (429); each keeps its last 4096 events, at most 1 MiB, whether anybody reads them or not.
/// 404 when the folder is not there, 400 when it is no folder.
#[utoipa::path(
    post,
    path = "/fs/watch",
    operation_id = "browsers_fs_watch_start",
    tag = "browsers/fs",
    request_body = WatchRequest,
    responses((status = 201, description = "It is watched.", body = WatchStarted), Refusals, FileRefusals, BodyRefusals),
)]
pub(crate) async fn start(
    State(files): State<Files>,
    Json(request): Json<WatchRequest>,
) -> Result<(StatusCode, axum::Json<WatchStarted>)> {
    let given = Given::new("path", request.path)?;
    let watches = &files.0.watches;
    watches.check_room()?;
    let ring = Arc::new(Ring::new(given.tidy()));
    let of_tree = Arc::clone(&ring);
    let tree = blocking(move || {
        let dir = place::folder(&given)?;
        Tree::new(dir, request.recursive, of_tree).map_err(|errno| match errno {
            Errno::NOSPC | Errno::MFILE | Errno::NFILE => Error::new(
                ErrorCode::TooManyRequests,
                format!("{given} cannot be watched: the system's watches are used up, or it has more than {FOLDERS} folders below it; stop other watches, or watch less"),
            ),
            errno => given.refuse(errno),
        })
    })
    .await?;
    let run = tree.run().map_err(Error::internal)?;
    let task = tokio::spawn(run).abort_handle();
    let watch_id = watches.add(Watch { ring, task })?;
    Ok((StatusCode::CREATED, axum::Json(WatchStarted { watch_id })))
}
