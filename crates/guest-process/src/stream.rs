//! `GET /process/{process_id}/stdout/stream`.

use axum::extract::State;
use axum::response::Response;
use browserd_api::process::OutputEvent;
use browserd_guest_http::refusals::Refusals;
use browserd_guest_http::sse;
use browserd_rest::Result;

use super::path::Id;
use super::{Processes, output_body};

/// Stream everything a process wrote and writes.
///
/// Server-sent events, each a JSON document: `{"stream":"stdout"|"stderr","data_b64":…}` with at
/// most 64 KiB of output, from the start and in order (what a terminal shows is `stdout`), then
/// `{"event":"exit","exit_code":…}` and the end. Any number of clients may read, at any time, also
/// after the exit; each gets everything at its own pace and none slows the process. Output that is
/// no longer kept is announced by an event with `dropped_bytes` (extension) and empty `data_b64`;
/// see `spawn` for what is kept. The exit event follows what was written before the exit; what
/// processes left in the background write afterwards is thrown away. While nothing is written a
/// comment is sent every 15 seconds.
#[utoipa::path(
    get,
    path = "/process/{process_id}/stdout/stream",
    operation_id = "browsers_process_stdout_stream",
    tag = "browsers/process",
    params(("process_id" = Uuid, Path, description = "Handle of the process.")),
    responses(
        (status = 200, description = "The event stream.", body = OutputEvent, content_type = "text/event-stream"),
        Refusals,
    ),
)]
pub(super) async fn stdout_stream(
    State(processes): State<Processes>,
    Id(id): Id,
) -> Result<Response> {
    let process = processes.find(id)?;
    Ok(sse::response(output_body::body(process)))
}
