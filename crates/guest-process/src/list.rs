//! `GET /process`.

use axum::extract::State;
use browserd_api::process::ProcessInfo;
use browserd_guest_http::refusals::Refusals;

use super::Processes;

/// Extension: list the session's processes.
///
/// Every process started with `spawn` that runs, and the last 2000 that have exited, in the order
/// they were started, with status and command (cut to about 4 KiB). What `exec` runs is not listed.
#[utoipa::path(
    get,
    path = "/process",
    operation_id = "browsers_process_list",
    tag = "browsers/process",
    responses((status = 200, description = "The processes.", body = Vec<ProcessInfo>), Refusals),
)]
pub(super) async fn list(State(processes): State<Processes>) -> axum::Json<Vec<ProcessInfo>> {
    axum::Json(processes.list())
}
