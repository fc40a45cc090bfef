//! Why a request has no answer, and how the client is told.

use browserd_api::{ApiError, ErrorCode};
use browserd_chromium::cdp::CdpError;
use browserd_guest_browser::NoBrowser;
use browserd_rest::Error;
use serde::Deserialize;

use super::net_error;

#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    NoBrowser(#[from] NoBrowser),
    #[error(transparent)]
    Cdp(#[from] CdpError),
    #[error("the task that opens targets was lost: {0}")]
    Lost(tokio::task::JoinError),
    #[error("Chromium said more than could be followed")]
    Lagged,
    #[error("Chromium ended")]
    Gone,
    /// Chromium's reason, e.g. `net::ERR_CONNECTION_REFUSED`.
    #[error("{0}")]
    Net(String),
    /// The session's gateway did not pass the request on.
    #[error("{}: {}", .0.code, .0.message)]
    Gateway(Refusal),
    /// Chromium does not let anyone set this header.
    #[error("{0}")]
    Header(String),
    /// Too large to be held.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// How the gateway says no.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) message: String,
}

/// What Chromium would have said, had it met the obstacle itself.
fn as_chromium_says(code: &str) -> &'static str {
    match code {
        "upstream_dns_failure" => "ERR_NAME_NOT_RESOLVED",
        "upstream_connect_failed" => "ERR_CONNECTION_FAILED",
        "upstream_timeout" => "ERR_TIMED_OUT",
        "origin_response_incomplete" => "ERR_EMPTY_RESPONSE",
        "destination_blocked" | "network_policy_denied" | "browser_service_blocked" => {
            "ERR_BLOCKED_BY_ADMINISTRATOR"
        }
        _ => "ERR_PROXY_CONNECTION_FAILED",
    }
}

/// 408: it took longer than the request allows.
pub(super) fn timed_out(milliseconds: u64) -> Error {
    let name = "ERR_TIMED_OUT";
    let message = format!(
        "no answer within {milliseconds} ms, and the request may have been carried out; \
         allow more with timeout_ms"
    );
    Error(ApiError::new(ErrorCode::Timeout, message).net(name, net_error::number(name)))
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Net(text) => {
                let name = text.strip_prefix("net::").unwrap_or(&text);
                let message = format!("the browser got no answer: {name}");
                let error = ApiError::new(ErrorCode::TransportError, message);
                Self(error.net(name, net_error::number(name)))
            }
            Failure::Gateway(Refusal { code, message }) => {
                let name = as_chromium_says(&code);
                let error = ApiError::new(ErrorCode::TransportError, message.clone());
                Self(error.inner(code, message).net(name, net_error::number(name)))
            }
            Failure::Header(name) => {
                let field = format!("headers.{name}");
                Self::field(field, "the browser writes this header itself; leave it out")
            }
            Failure::TooLarge(limit) => Self::new(
                ErrorCode::PayloadTooLarge,
                format!(
                    "the answer's body is larger than {limit} bytes; curl/raw streams answers of \
                     any size"
                ),
            ),
            other => {
                tracing::warn!(error = %other, "a request through the browser failed");
                Self::new(
                    ErrorCode::UpstreamUnavailable,
                    format!("the browser could not make this request: {other}"),
                )
            }
        }
    }
}
