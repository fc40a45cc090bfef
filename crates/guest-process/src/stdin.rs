//! `POST /process/{process_id}/stdin`.

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use browserd_api::ErrorCode;
use browserd_api::process::{StdinRequest, StdinResponse};
use browserd_guest_http::refusals::{BodyRefusals, Refusals, StateRefusals};
use browserd_rest::{Error, Json, Result};
use http::HeaderValue;
use http::header::CONTENT_LENGTH;
use http::request::Parts;

use super::Processes;
use super::budget::Held;
use super::input::{PATIENCE, Written};
use super::path::Id;

/// Largest body, bytes.
pub(super) const BODY: usize = 8 << 20;
/// Most bytes of bodies held at one time, while they arrive and while their process does not read.
pub(super) const WAITING_LIMIT: usize = 64 << 20;

/// A request's part of [`WAITING_LIMIT`], taken before its body is read.
#[derive(Debug)]
pub(super) struct Waiting(#[expect(dead_code, reason = "held until dropped")] Held);

impl FromRequestParts<Processes> for Waiting {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, processes: &Processes) -> Result<Self> {
        let length = parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        // A body that does not say its length may have any; one that is too long is refused later.
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(BODY).min(BODY);
        let mut held = processes.inner.input.hold();
        if held.take(length) {
            return Ok(Self(held));
        }
        Err(Error::new(
            ErrorCode::TooManyRequests,
            format!(
                "{} MiB of input already wait for processes that do not read it; try again when they have",
                WAITING_LIMIT >> 20
            ),
        ))
    }
}

/// Write to a process's standard input.
///
/// Requests take turns, so the bytes of one stay together. When the process does not read, the
/// answer comes after 10 seconds with the number of bytes it took, possibly 0: send the rest again.
/// Extension: `eof` true closes the input after the bytes (on a terminal: sends its end-of-file
/// character, usually Ctrl-D), once all of them were taken. If they were, and the input could not
/// be ended within the 10 seconds, the answer is 409 `conflict`: send `eof` alone. An input that is
/// closed, or a process that has exited, is 409 `stdin_closed`; input closed half-way through is 200
/// with the bytes that were taken. A body may be up to 8 MiB; 64 MiB may wait for processes at one
/// time (429).
#[utoipa::path(
    post,
    path = "/process/{process_id}/stdin",
    operation_id = "browsers_process_stdin",
    tag = "browsers/process",
    params(("process_id" = Uuid, Path, description = "Handle of the process.")),
    request_body = StdinRequest,
    responses(
        (status = 200, description = "How many bytes the process took.", body = StdinResponse),
        Refusals, BodyRefusals, StateRefusals,
    ),
)]
pub(super) async fn stdin(
    State(processes): State<Processes>,
    Id(id): Id,
    _waiting: Waiting,
    Json(request): Json<StdinRequest>,
) -> Result<Response> {
    let process = processes.find(id)?;
    let bytes = match &request.data_b64 {
        Some(text) => base64_simd::STANDARD
            .decode_to_vec(text)
            .map_err(|_| Error::field("data_b64", "is not standard base64 with padding"))?,
        None if request.eof => Vec::new(),
        None => return Err(Error::field("data_b64", "is needed unless eof is true")),
    };
    let eof = request.eof;
    // Not twice for as long as the process does not read.
    drop(request);
    match process.input.write(&bytes, eof, Some(PATIENCE), &process.ending).await {
        Written::Closed(0) => Err(Error::new(
            ErrorCode::StdinClosed,
            "the process has exited or its input is closed; nothing was written",
        )),
        Written::Closed(n) | Written::Bytes(n) => {
            Ok(axum::Json(StdinResponse { written_bytes: n as u64 }).into_response())
        }
        Written::NotEnded => Ok(not_ended(bytes.len())),
    }
}

fn not_ended(taken: usize) -> Response {
    let message = format!(
        "all {taken} bytes were taken, but the process does not read and the input could not be ended within {} s; send eof alone",
        PATIENCE.as_secs()
    );
    let mut refusal = Error::new(ErrorCode::Conflict, message).into_response();
    if taken > 0 {
        // The same request again would write the bytes again.
        refusal.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
    }
    refusal
}
