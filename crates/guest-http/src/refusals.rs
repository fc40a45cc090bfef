//! The refusals that routes have in common, for the API document.

use browserd_api::ErrorBody;
use utoipa::{IntoResponses, ToSchema};

/// Bytes as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "only describes")]
pub struct Binary(Vec<u8>);

/// What any route may answer.
#[derive(IntoResponses)]
pub enum Refusals {
    /// The request is not valid; `details` names the field.
    #[response(status = 400)]
    BadRequest(ErrorBody),
    /// No valid credentials.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// No such session, or no such thing in it.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// Too many at one time; see `Retry-After`.
    #[response(status = 429)]
    TooManyRequests(ErrorBody),
    /// An error of the server; its log has the cause.
    #[response(status = 500)]
    Internal(ErrorBody),
    /// The session did not answer.
    #[response(status = 502)]
    Unavailable(ErrorBody),
}

/// What routes that read a body may answer besides.
#[derive(IntoResponses)]
pub enum BodyRefusals {
    /// The body is larger than the route takes.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The body is not of a content type the route reads.
    #[response(status = 415)]
    MediaType(ErrorBody),
}

/// What routes that need a running process may answer besides.
#[derive(IntoResponses)]
pub enum StateRefusals {
    /// The process has exited (`process_exited`), or its input is closed (`stdin_closed`). Sending
    /// the request again does not help, which `x-should-retry: false` tells clients.
    #[response(status = 409)]
    Conflict(ErrorBody),
}

/// What routes that touch files may answer besides.
#[derive(IntoResponses)]
pub enum FileRefusals {
    /// The session has no right to it (`forbidden`), or that part of the session is read-only.
    #[response(status = 403)]
    Forbidden(ErrorBody),
}

/// What routes that write files may answer besides.
#[derive(IntoResponses)]
pub enum StorageRefusals {
    /// The session's disk, or the host's, is full (`insufficient_storage`). Nothing half written stays;
    /// sending the request again does not help, which `x-should-retry: false` tells clients.
    #[response(status = 507)]
    Full(ErrorBody),
}

/// What routes that wait for something outside the session may answer besides.
#[derive(IntoResponses)]
pub enum TimeoutRefusals {
    /// It took longer than the request allows (`timeout`). Sending the request again is for the
    /// client to decide: `x-should-retry` is false.
    #[response(status = 408)]
    Timeout(ErrorBody),
}
