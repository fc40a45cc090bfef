//! `GET /process/{process_id}/status`.

use axum::extract::State;
use browserd_api::process::ProcessStatus;
use browserd_guest_http::refusals::Refusals;
use browserd_rest::Result;

use super::Processes;
use super::path::Id;

/// Get the status of a process.
///
/// `state`, `exit_code` (null while running; 128+n when signal n ended it; 124 when `timeout_sec`
/// did), `cpu_pct` (percent of one core used by the process and everything it started, over the
/// last half to whole second, or since the start of a younger process; may exceed 100) and
/// `mem_bytes` (resident memory of the same processes). Daemons that detached themselves count too.
/// Both are 0 once the process has exited. The status stays readable until the session ends (of
/// exited processes, the last 2000).
#[utoipa::path(
    get,
    path = "/process/{process_id}/status",
    operation_id = "browsers_process_status",
    tag = "browsers/process",
    params(("process_id" = Uuid, Path, description = "Handle of the process.")),
    responses((status = 200, description = "The status.", body = ProcessStatus), Refusals),
)]
pub(super) async fn status(
    State(processes): State<Processes>,
    Id(id): Id,
) -> Result<axum::Json<ProcessStatus>> {
    let process = processes.find(id)?;
    Ok(axum::Json(processes.status(&process)))
}
