//! `POST /process/{process_id}/stdin`.

use axum::extract::State;
use browserd_api::ErrorCode;
use browserd_api::process::{StdinRequest, StdinResponse};
use browserd_rest::{Error, Json, Result};

use super::Processes;
use super::input::{PATIENCE, Written};
use super::path::Id;
use crate::refusals::{BodyRefusals, Refusals, StateRefusals};

/// Write to a process's standard input.
///
/// Requests take turns, so the bytes of one stay together. When the process does not read, the
/// answer comes after 10 seconds with the number of bytes it took, possibly 0: send the rest again.
/// Extension: `eof` true closes the input after the bytes (on a terminal: sends its end-of-file
/// character, usually Ctrl-D), once all of them were taken. An input that is closed, or a process
/// that has exited, is 409 `stdin_closed`; input closed half-way through is 200 with the bytes that
/// were taken. A body may be up to 8 MiB.
#[utoipa::path(
    post,
    path = "/process/{process_id}/stdin",
    operation_id = "browsers_process_stdin",
    tag = "browsers/process",
    params(("process_id" = Uuid, Path, description = "Handle of the process.")),
    request_body = StdinRequest,
    responses(
        (status = 200, description = "So many bytes were taken.", body = StdinResponse),
        Refusals, BodyRefusals, StateRefusals,
    ),
)]
pub(super) async fn stdin(
    State(processes): State<Processes>,
    Id(id): Id,
    Json(request): Json<StdinRequest>,
) -> Result<axum::Json<StdinResponse>> {
    let process = processes.find(id)?;
    let bytes = match &request.data_b64 {
        Some(text) => base64_simd::STANDARD
            .decode_to_vec(text)
            .map_err(|_| Error::field("data_b64", "is not standard base64 with padding"))?,
        None if request.eof => Vec::new(),
        None => return Err(Error::field("data_b64", "is needed unless eof is true")),
    };
    match process.input.write(&bytes, request.eof, Some(PATIENCE), &process.ending).await {
        Written::Closed(0) => Err(Error::new(
            ErrorCode::StdinClosed,
            "the process has exited or its input is closed; nothing was written",
        )),
        Written::Closed(n) | Written::Bytes(n) => {
            Ok(axum::Json(StdinResponse { written_bytes: n as u64 }))
        }
    }
}
