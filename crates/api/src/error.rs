//! Every refusal a client can meet: one enum of codes feeds HTTP, OpenAPI and the docs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Machine-readable reason of a refusal; the wire form is `snake_case`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// 400: the request cannot be understood (broken JSON, malformed id).
    BadRequest,
    /// 400: a field is missing, of the wrong type or outside its range; see `details`.
    InvalidInput,
    /// 401: no key, a wrong key, or a session token that is wrong, foreign or expired.
    Unauthorized,
    /// 404: no route has this path.
    RouteNotFound,
    /// 408: it took longer than the request allows, or than its client says that it waits.
    Timeout,
    /// 405: the path exists, the method does not; see the `Allow` header.
    MethodNotAllowed,
    /// 404: no such browser session, or it has ended.
    BrowserNotFound,
    /// 404: no such process in this session.
    ProcessNotFound,
    /// 404: no such recording of this session.
    ReplayNotFound,
    /// 404: the named project does not exist.
    ProjectNotFound,
    /// 404: no profile has this id or name.
    ProfileNotFound,
    /// 404: no proxy has this id or name.
    ProxyNotFound,
    /// 400: several proxies have this name.
    AmbiguousProxyName,
    /// 404: no such page target, file or other thing inside the session.
    NotFound,
    /// 403: the session's file system does not permit it (rights, read-only parts).
    Forbidden,
    /// 409: the name is taken by an active session, or by another profile.
    AlreadyExists,
    /// 409: the process has exited, or its input is closed.
    StdinClosed,
    /// 409: the process has exited.
    ProcessExited,
    /// 409: the session was ended while this request was under way.
    Ended,
    /// 409: the session has as many recordings under way as it may.
    TooManyReplays,
    /// 409: the screen is being recorded; `force` changes its size all the same.
    BeingRecorded,
    /// 409: as many Playwright executors as a session may have; delete one.
    ExecutorLimit,
    /// 409: what the request is about is busy; try again later.
    Conflict,
    /// 413: the request body is larger than the route's limit.
    PayloadTooLarge,
    /// 415: the content type is not one the route reads.
    UnsupportedMediaType,
    /// 416: the file ends before the part asked for; `Content-Range` has its size.
    RangeNotSatisfiable,
    /// 426: the route speaks WebSocket only.
    UpgradeRequired,
    /// 431: the request head is too large.
    HeadersTooLarge,
    /// 429: over a rate or session limit; see `Retry-After`.
    TooManyRequests,
    /// 501: a documented operation that this version does not have yet.
    NotImplemented,
    /// 500: an error of the server; its log has the cause under the request id.
    Internal,
    /// 500: mouse or keyboard input failed half way; what was done stays done, and sending the request
    /// again would do it twice.
    ActionFailed,
    /// 502: the browser got no answer from the target of the request; see `net_error_name`.
    TransportError,
    /// 502: Chromium, its driver or the session's guest did not answer.
    UpstreamUnavailable,
    /// 502: the session's guest went away after it had been sent this request; it may have been
    /// carried out, so clients do not send it again by themselves.
    OutcomeUnknown,
    /// 503: the server is shutting down.
    ShuttingDown,
    /// 503: the server's database cannot be read or written just now: it is locked, or its disk is full.
    DatabaseUnavailable,
    /// 507: the session's disk, or its share of it, is full, or the host's disk is; nothing half written
    /// stays.
    InsufficientStorage,
    /// 529: no capacity for another session.
    CapacityExhausted,
}

impl ErrorCode {
    /// All codes, for documents and tests.
    pub const ALL: &'static [ErrorCode] = &[
        Self::BadRequest,
        Self::InvalidInput,
        Self::Unauthorized,
        Self::RouteNotFound,
        Self::MethodNotAllowed,
        Self::Timeout,
        Self::BrowserNotFound,
        Self::ProcessNotFound,
        Self::ReplayNotFound,
        Self::ProjectNotFound,
        Self::ProfileNotFound,
        Self::ProxyNotFound,
        Self::AmbiguousProxyName,
        Self::NotFound,
        Self::Forbidden,
        Self::AlreadyExists,
        Self::StdinClosed,
        Self::ProcessExited,
        Self::Ended,
        Self::TooManyReplays,
        Self::BeingRecorded,
        Self::ExecutorLimit,
        Self::Conflict,
        Self::PayloadTooLarge,
        Self::UnsupportedMediaType,
        Self::RangeNotSatisfiable,
        Self::UpgradeRequired,
        Self::HeadersTooLarge,
        Self::TooManyRequests,
        Self::NotImplemented,
        Self::Internal,
        Self::ActionFailed,
        Self::TransportError,
        Self::UpstreamUnavailable,
        Self::OutcomeUnknown,
        Self::ShuttingDown,
        Self::DatabaseUnavailable,
        Self::InsufficientStorage,
        Self::CapacityExhausted,
    ];

    /// The HTTP status that carries this code.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::InvalidInput | Self::AmbiguousProxyName => 400,
            Self::Unauthorized => 401,
            Self::RouteNotFound
            | Self::BrowserNotFound
            | Self::ProcessNotFound
            | Self::ReplayNotFound
            | Self::ProjectNotFound
            | Self::ProfileNotFound
            | Self::ProxyNotFound
            | Self::NotFound => 404,
            Self::Forbidden => 403,
            Self::MethodNotAllowed => 405,
            Self::Timeout => 408,
            Self::AlreadyExists
            | Self::StdinClosed
            | Self::ProcessExited
            | Self::Ended
            | Self::TooManyReplays
            | Self::BeingRecorded
            | Self::ExecutorLimit
            | Self::Conflict => 409,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::RangeNotSatisfiable => 416,
            Self::UpgradeRequired => 426,
            Self::TooManyRequests => 429,
            Self::HeadersTooLarge => 431,
            Self::Internal | Self::ActionFailed => 500,
            Self::NotImplemented => 501,
            Self::TransportError | Self::UpstreamUnavailable | Self::OutcomeUnknown => 502,
            Self::ShuttingDown | Self::DatabaseUnavailable => 503,
            Self::InsufficientStorage => 507,
            Self::CapacityExhausted => 529,
        }
    }

    /// Whether sending the same request again may succeed.
    ///
    /// The official SDKs repeat 408, 409, 429 and every 5xx unless told otherwise by
    /// `x-should-retry`, so each answer that repetition cannot change says `false`.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::Conflict
                | Self::TooManyRequests
                | Self::UpstreamUnavailable
                | Self::ShuttingDown
                | Self::DatabaseUnavailable
                | Self::CapacityExhausted
        )
    }

    /// The wire form, as in `code` of an error body.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::InvalidInput => "invalid_input",
            Self::Unauthorized => "unauthorized",
            Self::RouteNotFound => "route_not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Timeout => "timeout",
            Self::BrowserNotFound => "browser_not_found",
            Self::ProcessNotFound => "process_not_found",
            Self::ReplayNotFound => "replay_not_found",
            Self::ProjectNotFound => "project_not_found",
            Self::ProfileNotFound => "profile_not_found",
            Self::ProxyNotFound => "proxy_not_found",
            Self::AmbiguousProxyName => "ambiguous_proxy_name",
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::AlreadyExists => "already_exists",
            Self::StdinClosed => "stdin_closed",
            Self::ProcessExited => "process_exited",
            Self::Ended => "ended",
            Self::TooManyReplays => "too_many_replays",
            Self::BeingRecorded => "being_recorded",
            Self::ExecutorLimit => "executor_limit",
            Self::Conflict => "conflict",
            Self::PayloadTooLarge => "payload_too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::RangeNotSatisfiable => "range_not_satisfiable",
            Self::UpgradeRequired => "upgrade_required",
            Self::HeadersTooLarge => "headers_too_large",
            Self::TooManyRequests => "too_many_requests",
            Self::NotImplemented => "not_implemented",
            Self::Internal => "internal",
            Self::ActionFailed => "action_failed",
            Self::TransportError => "transport_error",
            Self::UpstreamUnavailable => "upstream_unavailable",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::ShuttingDown => "shutting_down",
            Self::DatabaseUnavailable => "database_unavailable",
            Self::InsufficientStorage => "insufficient_storage",
            Self::CapacityExhausted => "capacity_exhausted",
        }
    }

    /// The code in words, for documents.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::BadRequest => "the request cannot be understood",
            Self::InvalidInput => "`details` names the fields that do not fit",
            Self::Unauthorized => "the key or token is missing or not valid",
            Self::RouteNotFound => "no route has this path",
            Self::MethodNotAllowed => "see the `Allow` header",
            Self::Timeout => "it took longer than the request allows",
            Self::BrowserNotFound => "no active session has this id or name",
            Self::ProcessNotFound => "no such process in this session",
            Self::ReplayNotFound => "no such recording of this session",
            Self::ProjectNotFound => "the project named in a header does not exist",
            Self::ProfileNotFound => "no profile has this id or name",
            Self::ProxyNotFound => "no proxy has this id or name",
            Self::AmbiguousProxyName => "several proxies have this name; say the id",
            Self::NotFound => "no such thing inside the session",
            Self::Forbidden => "the session's file system does not permit it",
            Self::AlreadyExists => "another one has the name",
            Self::StdinClosed => "the process has exited or its input is closed",
            Self::ProcessExited => "the process has exited",
            Self::Ended => "the session was ended while this request was under way",
            Self::BeingRecorded => "the screen is being recorded; `viewport.force` goes on",
            Self::TooManyReplays => {
                "the session has as many recordings under way as it may; stop one"
            }
            Self::ExecutorLimit => {
                "the session has as many Playwright executors as it may; delete one"
            }
            Self::Conflict => "busy; waiting helps",
            Self::PayloadTooLarge => "the body is larger than this route takes",
            Self::UnsupportedMediaType => "the body is not of a type this route reads",
            Self::RangeNotSatisfiable => "the part asked for lies beyond the end",
            Self::UpgradeRequired => "this route speaks WebSocket only",
            Self::HeadersTooLarge => "the request's head is too large",
            Self::TooManyRequests => "over a limit; see `Retry-After`",
            Self::NotImplemented => "this version does not have the operation yet",
            Self::Internal => "our fault; the log has the cause under `x-request-id`",
            Self::ActionFailed => "input broke off; repeated, part of it would happen twice",
            Self::TransportError => {
                "the browser got no answer; `net_error_name` has Chromium's reason"
            }
            Self::UpstreamUnavailable => "what runs inside the session did not answer",
            Self::OutcomeUnknown => "it may have been carried out; look before sending it again",
            Self::ShuttingDown => "the server is shutting down",
            Self::DatabaseUnavailable => "the server's database is locked, or its disk is full",
            Self::InsufficientStorage => "the session's disk, or the host's, is full",
            Self::CapacityExhausted => "no room for another session",
        }
    }
}

/// One reason among several, naming the field it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// The field (`viewport.width`), or the kind of reason where it is about no field.
    pub code: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

/// The body of every refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Error)]
pub struct ErrorBody {
    /// Machine-readable reason.
    pub code: ErrorCode,
    /// What was wrong and what to do about it.
    pub message: String,
    /// What does not fit, one entry for each field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<ErrorDetail>,
    /// The underlying reason, where another program (Chromium, the kernel) gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inner_error: Option<ErrorDetail>,
    /// With `transport_error` and `timeout` of requests through the browser: Chromium's number for
    /// what went wrong, such as -102.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_error: Option<i32>,
    /// The name of `net_error`, such as `ERR_CONNECTION_REFUSED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net_error_name: Option<String>,
}

/// A refusal on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", body.code.as_str(), body.message)]
pub struct ApiError {
    body: Box<ErrorBody>,
}

impl ApiError {
    /// A refusal with a message for the client.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            body: Box::new(ErrorBody {
                code,
                message: message.into(),
                details: Vec::new(),
                inner_error: None,
                net_error: None,
                net_error_name: None,
            }),
        }
    }

    /// 400 `invalid_input` about one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        Self::new(ErrorCode::InvalidInput, format!("{field}: {message}")).detail(field, message)
    }

    /// 400 `invalid_input` about several fields; the message repeats the first.
    #[must_use]
    pub fn fields(details: Vec<ErrorDetail>) -> Self {
        let message = details.first().map_or_else(
            || "the request is not valid".to_owned(),
            |first| format!("{}: {}", first.code, first.message),
        );
        let mut error = Self::new(ErrorCode::InvalidInput, message);
        error.body.details = details;
        error
    }

    /// Adds a reason about `field`.
    #[must_use]
    pub fn detail(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.body.details.push(ErrorDetail { code: field.into(), message: message.into() });
        self
    }

    /// Adds the reason underneath, in the words of the program that gave it.
    #[must_use]
    pub fn inner(mut self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.body.inner_error = Some(ErrorDetail { code: code.into(), message: message.into() });
        self
    }

    /// Adds Chromium's reason, its name and its number where that is known.
    #[must_use]
    pub fn net(mut self, name: impl Into<String>, number: Option<i32>) -> Self {
        self.body.net_error = number;
        self.body.net_error_name = Some(name.into());
        self
    }

    /// Machine-readable reason.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.body.code
    }

    /// The body as it goes over the wire.
    #[must_use]
    pub fn body(&self) -> &ErrorBody {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_wire_form() {
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert!((400..600).contains(&code.status()));
        }
    }

    #[test]
    fn body_leaves_out_what_is_empty() {
        let body = ApiError::new(ErrorCode::Conflict, "busy");
        assert_eq!(
            serde_json::to_value(body.body()).unwrap(),
            serde_json::json!({"code": "conflict", "message": "busy"})
        );
    }
}
