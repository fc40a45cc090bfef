//! `POST /process/{process_id}/resize`.

use axum::extract::State;
use browserd_api::process::{OkResponse, ResizeRequest};
use browserd_api::{ApiError, ErrorCode, ErrorDetail};
use browserd_guest_http::refusals::{BodyRefusals, Refusals, StateRefusals};
use browserd_rest::{Error, Json, Result};

use super::path::Id;
use super::{Process, Processes, terminal};

/// Change the size of a process's terminal.
///
/// The programs in the terminal are told with SIGWINCH. A process without a terminal is 400, one
/// that has exited 409 `process_exited`.
#[utoipa::path(
    post,
    path = "/process/{process_id}/resize",
    operation_id = "browsers_process_resize",
    tag = "browsers/process",
    params(("process_id" = Uuid, Path, description = "Handle of the process.")),
    request_body = ResizeRequest,
    responses(
        (status = 200, description = "The terminal has the new size.", body = OkResponse),
        Refusals, BodyRefusals, StateRefusals,
    ),
)]
pub(super) async fn resize(
    State(processes): State<Processes>,
    Id(id): Id,
    Json(size): Json<ResizeRequest>,
) -> Result<axum::Json<OkResponse>> {
    let process = processes.find(id)?;
    apply(&process, size.rows, size.cols)?;
    Ok(axum::Json(OkResponse { ok: true }))
}

/// Resizes the terminal of `process`.
pub(super) fn apply(process: &Process, rows: u16, cols: u16) -> Result<()> {
    let details: Vec<ErrorDetail> = [("rows", rows), ("cols", cols)]
        .into_iter()
        .filter(|(_, value)| *value == 0)
        .map(|(field, _)| ErrorDetail {
            code: field.into(),
            message: "must be from 1 to 65535".into(),
        })
        .collect();
    if !details.is_empty() {
        return Err(ApiError::fields(details).into());
    }
    if !process.tty {
        let message = "this process has no terminal; spawn it with allocate_tty to resize it";
        return Err(Error::new(ErrorCode::InvalidInput, message));
    }
    match &*process.terminal.lock() {
        Some(ours) => terminal::resize(ours, rows, cols).map_err(Error::internal),
        None => Err(Error::new(ErrorCode::ProcessExited, "the process has exited")),
    }
}
