//! Whether a proxy works: one connection through it, outside any session.

use std::sync::Arc;

use browserd_api::proxies::Upstream;
use browserd_protocol::{EgressPolicy, Route};
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::time::{Duration, timeout};
use url::Url;

use crate::connect::{Connector, HostDialer, Opened};
use crate::destination::Destination;
use crate::forward::Driver;
use crate::limits::Limits;
use crate::policy::{Policy, PolicyError};
use crate::proxy::{self, ProxyError, Purpose};
use crate::refusal::{Refusal, Stage};
use crate::resolve::SystemResolver;

/// How long it may take; below the 60 s after which the official SDKs give up on a request.
const ANSWERED_WITHIN: Duration = Duration::from_secs(40);

/// Why a probe did not happen, or failed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The server's own policy cannot be read.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The proxy cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The URL is of no use for it.
    #[error("{0}")]
    Url(&'static str),
    /// No connection; see [`Refusal::message`].
    #[error("{}", .0.message())]
    Refused(Refusal),
}

/// Opens a connection through a proxy, as a session under `policy` would: to an `https` URL's host, or
/// for `http` with a request that is answered with any status.
///
/// # Errors
/// Says what is wrong with the URL or the proxy, or what went wrong.
pub async fn probe(
    policy: &EgressPolicy,
    upstream: &Upstream,
    url: &Url,
) -> Result<(), ProbeError> {
    let route = Route::Upstream(Box::new(upstream.clone()));
    let policy = Policy::parse(policy)?.with_route(&route)?;
    let (purpose, default_port) = match url.scheme() {
        "https" => (Purpose::Tunnel, 443),
        "http" => (Purpose::Requests, 80),
        _ => return Err(ProbeError::Url("must be an http or https URL")),
    };
    let dest = Destination::parse(url.authority(), Some(default_port));
    let dest = dest.map_err(|bad| ProbeError::Url(bad.0))?;
    if policy.proxy_for(&dest).map_err(ProbeError::Refused)?.is_none() {
        return Err(ProbeError::Url(
            "must be a URL that is reached through the proxy: a public host, and none it bypasses",
        ));
    }
    let connector = Connector {
        resolver: Arc::new(SystemResolver::default()),
        dialer: Arc::new(HostDialer),
        limits: Limits::default(),
    };
    let answered = async {
        let opened = connector.connect(&policy, &dest, purpose).await?;
        match purpose {
            Purpose::Tunnel => Ok(()),
            Purpose::Requests => ask(opened, &dest, url).await,
        }
    };
    let late = || Err(Refusal::Timeout(dest.clone(), Stage::Answer));
    let answered = timeout(ANSWERED_WITHIN, answered).await;
    answered.unwrap_or_else(|_| late()).map_err(ProbeError::Refused)
}

/// Asks an origin for the head of its answer.
async fn ask(opened: Opened, dest: &Destination, url: &Url) -> Result<(), Refusal> {
    let Opened { stream, forwarder, .. } = opened;
    let broken = |_| Refusal::Answer(dest.clone());
    let (mut sender, connection) =
        Builder::new().handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let _driver = Driver::of(connection);
    let target = if forwarder.is_some() { url.as_str() } else { url.path() };
    let mut request =
        Request::builder().method(Method::HEAD).uri(target).header(HOST, dest.host_header());
    if let Some(authorization) = forwarder.as_ref().and_then(|proxy| proxy.authorization()) {
        request = request.header(PROXY_AUTHORIZATION, authorization.clone());
    }
    let request = request.body(Empty::<Bytes>::new());
    let request = request.map_err(|_| Refusal::Answer(dest.clone()))?;
    let status = sender.send_request(request).await.map_err(broken)?.status();
    match (forwarder, status) {
        (Some(_), StatusCode::PROXY_AUTHENTICATION_REQUIRED) => Err(proxy::refused(dest, status)),
        // What a proxy says that could not reach the origin.
        (Some(_), StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT) => {
            Err(proxy::refused(dest, status))
        }
        _ => Ok(()),
    }
}
