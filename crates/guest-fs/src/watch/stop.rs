//! `DELETE /fs/watch/{watch_id}`.

use axum::extract::State;
use browserd_guest_http::refusals::Refusals;
use browserd_rest::Result;
use http::StatusCode;

use super::super::Files;
use super::events::Id;

/// Stop watching.
///
/// Whoever reads the events gets those that are there, and then the end of the stream. 404 when there
/// is no such watch.
#[utoipa::path(
    delete,
    path = "/fs/watch/{watch_id}",
    operation_id = "browsers_fs_watch_stop",
    tag = "browsers/fs",
    params(("watch_id" = String, Path, description = "Handle of the watch.")),
    responses((status = 204, description = "It is stopped."), Refusals),
)]
pub(crate) async fn stop(State(files): State<Files>, Id(id): Id) -> Result<StatusCode> {
    files.0.watches.remove(&id)?;
    Ok(StatusCode::NO_CONTENT)
}
