//! Discovery: what browser this is, which targets it has, and the few things that can be done to
//! them without a WebSocket.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use browserd_api::ErrorCode;
use browserd_fleet::{BrowserStream, LiveSession};
use browserd_rest::{Error, Refused, Result};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::AskChromium;
use super::rewrite::Urls;
use crate::public_url::PublicUrl;
use crate::query;
use crate::refusal;
use crate::relay::harden;
use crate::token::TokenSession;
use crate::wire::log::AboutSession;

/// Longest answer taken from Chromium, bytes; the protocol description has about 2 MiB.
const ANSWER_LIMIT: usize = 16 << 20;

/// How long Chromium may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// What browser this is
///
/// Chromium's `/json/version` with `webSocketDebuggerUrl` on this host.
#[utoipa::path(get, path = "/browser/cdp/json/version", operation_id = "cdp.version", tag = "cdp",
    responses((status = 200, description = "Version and WebSocket URL.", body = serde_json::Value),
        Refused<AskChromium>))]
pub(crate) async fn version(
    public: State<Arc<PublicUrl>>,
    token: TokenSession,
) -> Result<Response> {
    ask(public, token, Method::GET, "/json/version").await
}

/// Targets
///
/// Chromium's `/json/list` (also at `/json`) with URLs on this host.
#[utoipa::path(get, path = "/browser/cdp/json/list", operation_id = "cdp.list", tag = "cdp",
    responses((status = 200, description = "Targets with their WebSocket URLs.", body = Vec<serde_json::Value>),
        Refused<AskChromium>))]
pub(crate) async fn list(public: State<Arc<PublicUrl>>, token: TokenSession) -> Result<Response> {
    ask(public, token, Method::GET, "/json/list").await
}

/// Description of the protocol
#[utoipa::path(get, path = "/browser/cdp/json/protocol", operation_id = "cdp.protocol", tag = "cdp",
    responses((status = 200, description = "Chromium's own description of CDP.", body = serde_json::Value),
        Refused<AskChromium>))]
pub(crate) async fn protocol(
    public: State<Arc<PublicUrl>>,
    token: TokenSession,
) -> Result<Response> {
    ask(public, token, Method::GET, "/json/protocol").await
}

/// Open a page
///
/// The query, without the token, is the URL to open: `PUT /json/new?https://example.com&jwt=…`.
/// `PUT` only, as in Chromium, so that no web page can do it.
#[utoipa::path(put, path = "/browser/cdp/json/new", operation_id = "cdp.new", tag = "cdp",
    responses((status = 200, description = "The new target.", body = serde_json::Value),
        Refused<AskChromium>))]
pub(crate) async fn new(public: State<Arc<PublicUrl>>, token: TokenSession) -> Result<Response> {
    let path = query::join("/json/new", &token.query);
    ask(public, token, Method::PUT, &path).await
}

/// Bring a page to the front
#[utoipa::path(get, path = "/browser/cdp/json/activate/{target_id}", operation_id = "cdp.activate", tag = "cdp",
    params(("target_id" = String, Path, description = "From `/json/list`.")),
    responses((status = 200, description = "Done, in Chromium's words.", body = String, content_type = "text/plain"),
        Refused<AskChromium>))]
pub(crate) async fn activate(
    public: State<Arc<PublicUrl>>,
    Path(id): Path<String>,
    token: TokenSession,
) -> Result<Response> {
    ask(public, token, Method::GET, &target_path("activate", &id)).await
}

/// Close a page
#[utoipa::path(get, path = "/browser/cdp/json/close/{target_id}", operation_id = "cdp.close", tag = "cdp",
    params(("target_id" = String, Path, description = "From `/json/list`.")),
    responses((status = 200, description = "Done, in Chromium's words.", body = String, content_type = "text/plain"),
        Refused<AskChromium>))]
pub(crate) async fn close(
    public: State<Arc<PublicUrl>>,
    Path(id): Path<String>,
    token: TokenSession,
) -> Result<Response> {
    ask(public, token, Method::GET, &target_path("close", &id)).await
}

fn target_path(action: &str, id: &str) -> String {
    format!("/json/{action}/{}", utf8_percent_encode(id, NON_ALPHANUMERIC))
}

async fn ask(
    State(public): State<Arc<PublicUrl>>,
    token: TokenSession,
    method: Method,
    path: &str,
) -> Result<Response> {
    let session = &token.live;
    let _activity = session.activity();
    let exchange = tokio::time::timeout(TIMEOUT, exchange(session, method, path)).await;
    let (status, body) = match exchange {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(refusal::no_chromium(session, &error).await),
        Err(_) => return Err(refusal::no_chromium(session, "it took too long").await),
    };
    if status.is_client_error() {
        return Err(Error::new(
            ErrorCode::NotFound,
            "Chromium has no such target (any more); /json/list has the present ones",
        ));
    }
    if !status.is_success() {
        return Err(refusal::no_chromium(session, &format!("it answered {status}")).await);
    }
    let json = matches!(body.iter().find(|b| !b.is_ascii_whitespace()), Some(b'{' | b'['));
    let urls = Urls { public: &public, jwt: &token.jwt };
    // Without URLs there is nothing to change, and the protocol description is long.
    let body =
        if json && !path.starts_with("/json/protocol") { urls.rewrite(&body)? } else { body };
    let content_type =
        if json { "application/json; charset=UTF-8" } else { "text/plain; charset=UTF-8" };
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    harden(response.headers_mut());
    response.extensions_mut().insert(AboutSession(session.id().clone()));
    Ok(response)
}

/// One request to Chromium on a connection of its own.
async fn exchange(
    session: &LiveSession,
    method: Method,
    path: &str,
) -> std::result::Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let BrowserStream { stream, host, .. } = session.dial_browser().await?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(64 << 10)
        .max_headers(64)
        .handshake::<_, Body>(TokioIo::new(stream))
        .await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .body(Body::empty())?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await?.to_bytes();
        Ok((status, body))
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => {
            ended?;
            // The connection is over, so what it delivered is all there is.
            answer.await
        }
    }
}
