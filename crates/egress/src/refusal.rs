//! Why a request was not passed on, and how the client is told.
//!
//! Every refusal is an HTTP answer with the header [`ERROR_HEADER`] and a JSON body
//! `{"code","message"}`. Messages say what to do and never what a name resolved to.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use crate::destination::Destination;

/// The header that carries a refusal's code. Removed from what origins answer, so its presence
/// always means the gateway spoke.
pub const ERROR_HEADER: HeaderName = HeaderName::from_static("x-kernel-proxy-error");

/// What is wrong with a target, in words that finish the sentence "the request cannot be read:".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Looking the name up.
    Resolve,
    /// Opening a connection.
    Connect,
    /// Waiting for the head of the answer.
    Answer,
}

/// What stands between a session and its proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// It is not at a public address, and is not listed.
    Private,
    /// It takes no connection, or does not speak the protocol it should.
    Unreachable,
    /// Its certificate is not one this host trusts.
    Untrusted,
    /// It does not want to.
    Rejected,
}

/// Why a request was not passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// 400 `bad_request`: the target or the framing makes no sense.
    Malformed(Malformed),
    /// 400 `bad_request`: a request for the gateway itself (`GET /`), as if it were a web server.
    NotAProxyRequest,
    /// 400 `bad_request`: an absolute target that is not `http:`.
    Scheme,
    /// 405 `method_not_allowed`: TRACE would show the client headers that are not its own.
    Trace,
    /// 403 `destination_blocked`: not a public destination and not listed.
    Blocked(Destination),
    /// 403 `network_policy_denied`: a mail port.
    Port(Destination),
    /// 403 `browser_service_blocked`: one of the browser's own background services.
    BrowserService(Destination),
    /// 502 `upstream_dns_failure`: the name has no address.
    Dns(Destination),
    /// 502 `upstream_connect_failed`: no address took the connection.
    Connect(Destination),
    /// 504 `upstream_timeout`.
    Timeout(Destination, Stage),
    /// 502 `origin_response_incomplete`: the origin closed or did not speak HTTP.
    Answer(Destination),
    /// 502 `provider_unreachable` or `provider_rejected`: the session's proxy.
    Proxy(Destination, Denial),
    /// 503 `proxy_unavailable`: the session's proxy was deleted.
    NoProxy(Destination),
    /// 503 `proxy_unavailable`: the session has too many connections.
    Busy,
}

#[derive(Serialize)]
struct Body<'a> {
    code: &'a str,
    message: &'a str,
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::NotAProxyRequest | Self::Scheme => StatusCode::BAD_REQUEST,
            Self::Blocked(_) | Self::Port(_) | Self::BrowserService(_) => StatusCode::FORBIDDEN,
            Self::Trace => StatusCode::METHOD_NOT_ALLOWED,
            Self::Dns(_) | Self::Connect(_) | Self::Answer(_) | Self::Proxy(..) => {
                StatusCode::BAD_GATEWAY
            }
            Self::Timeout(..) => StatusCode::GATEWAY_TIMEOUT,
            Self::Busy | Self::NoProxy(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The code, as in the header and the body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::NotAProxyRequest | Self::Scheme => "bad_request",
            Self::Trace => "method_not_allowed",
            Self::Blocked(_) => "destination_blocked",
            Self::Port(_) => "network_policy_denied",
            Self::BrowserService(_) => "browser_service_blocked",
            Self::Dns(_) => "upstream_dns_failure",
            Self::Connect(_) => "upstream_connect_failed",
            Self::Timeout(..) => "upstream_timeout",
            Self::Answer(_) => "origin_response_incomplete",
            Self::Proxy(_, Denial::Rejected) => "provider_rejected",
            Self::Proxy(..) => "provider_unreachable",
            Self::Busy | Self::NoProxy(_) => "proxy_unavailable",
        }
    }

    /// What was wrong and what to do about it.
    pub fn message(&self) -> String {
        match self {
            Self::Malformed(what) => format!("the request cannot be read: {what}"),
            Self::NotAProxyRequest => "this is the session's HTTP proxy, not a web server: send \
                 CONNECT host:port, or a request with the whole URL (GET http://host/path)"
                .to_owned(),
            Self::Scheme => {
                "only http:// URLs are forwarded: use CONNECT host:port for everything \
                 else"
                    .to_owned()
            }
            Self::Trace => "TRACE is not forwarded: use another method".to_owned(),
            Self::Blocked(dest) => format!(
                "{dest} is not a public destination, and sessions may reach only public ones: to \
                 allow it, add \"{}\" or \"{dest}\" to allowed_private_hosts in the server's \
                 settings",
                dest.host
            ),
            Self::Port(dest) => format!(
                "port {} is for sending mail and is closed to sessions: to open it for this host, \
                 add \"{dest}\" (with its port) to allowed_private_hosts in the server's settings",
                dest.port
            ),
            Self::BrowserService(dest) => format!(
                "{} serves the browser's own background updates, which sessions do without: to \
                 allow it, add it by this name to allowed_private_hosts in the server's settings",
                dest.host
            ),
            Self::Dns(dest) => {
                format!("the server found no address for {}: check the name", dest.host)
            }
            Self::Connect(dest) => format!(
                "no connection to {dest}: check the port and that the server's network reaches it"
            ),
            Self::Timeout(dest, stage) => match stage {
                Stage::Resolve => format!("looking up {} took too long: try again", dest.host),
                Stage::Connect => format!("connecting to {dest} took too long: try again"),
                Stage::Answer => format!("{dest} did not answer in time: try again"),
            },
            Self::Answer(dest) => {
                format!("{dest} closed the connection or did not answer in HTTP/1: try again")
            }
            Self::Proxy(dest, denial) => match denial {
                Denial::Private => "the session's proxy is not at a public address: to allow it, \
                     add it to allowed_private_hosts in the server's settings"
                    .to_owned(),
                Denial::Unreachable => "the session's proxy does not answer as it should: check \
                     its host, port and protocol"
                    .to_owned(),
                Denial::Untrusted => "the server does not trust the certificate of the session's \
                     proxy: check its host and protocol"
                    .to_owned(),
                Denial::Rejected => format!(
                    "the session's proxy refused to connect to {dest}: check its credentials and \
                     what it allows"
                ),
            },
            Self::NoProxy(_) => {
                "the session's proxy was deleted: give the session another one, or \
                 none, with PATCH /browsers/{id_or_name}"
                    .to_owned()
            }
            Self::Busy => {
                "the session has too many open connections: close some and try again".to_owned()
            }
        }
    }

    /// Where the client wanted to go, when that much was readable.
    pub fn destination(&self) -> Option<&Destination> {
        match self {
            Self::Blocked(dest)
            | Self::Port(dest)
            | Self::BrowserService(dest)
            | Self::Dns(dest)
            | Self::Connect(dest)
            | Self::Timeout(dest, _)
            | Self::Proxy(dest, _)
            | Self::NoProxy(dest)
            | Self::Answer(dest) => Some(dest),
            Self::Malformed(_)
            | Self::NotAProxyRequest
            | Self::Scheme
            | Self::Trace
            | Self::Busy => None,
        }
    }

    /// The answer to send. `close` ends the client's connection after it.
    pub(crate) fn into_response(self, close: bool) -> Response<Full<Bytes>> {
        let body = Body { code: self.code(), message: &self.message() };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = Response::new(Full::new(body.into()));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(ERROR_HEADER, HeaderValue::from_static(self.code()));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if self == Self::Trace {
            headers.insert(
                ALLOW,
                HeaderValue::from_static("CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"),
            );
        }
        if close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<Malformed> for Refusal {
    fn from(what: Malformed) -> Self {
        Self::Malformed(what)
    }
}
