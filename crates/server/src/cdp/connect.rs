//! `WebSocket`s to the browser and to pages.

use axum::extract::{Path, Request, State};
use axum::response::Response;
use browserd_api::ErrorCode;
use browserd_fleet::BrowserStream;
use browserd_rest::{Error, Refused, Result};
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::AskChromium;
use crate::refusal;
use crate::token::TokenSession;
use crate::tunnel::{self, Inside, Kind, Tunnels, Upgrade, UpgradeToWebSocket, WebSocketRequest};

/// Which endpoint of Chromium a client wants.
enum Endpoint {
    /// The browser, whichever id it has just now: Chromium's changes when it restarts.
    Browser,
    BrowserById(String),
    Page(String),
}

/// CDP to the browser
///
/// A WebSocket. `cdp_ws_url` of a session is this endpoint with its token. Lives as long as the
/// session; when Chromium restarts it closes with code 1012 and the same URL works again at once.
#[utoipa::path(get, path = "/browser/cdp", operation_id = "cdp.connect", tag = "cdp",
    responses((status = 101, description = "CDP, one JSON message a frame."),
        Refused<(AskChromium, UpgradeToWebSocket)>))]
pub(crate) async fn browser(
    tunnels: State<Tunnels>,
    token: TokenSession,
    request: Request,
) -> Result<Response> {
    connect(tunnels, token, Endpoint::Browser, request).await
}

/// CDP to the browser, by the id of its present life
#[utoipa::path(get, path = "/browser/cdp/devtools/browser/{browser_id}", operation_id = "cdp.connect_browser",
    tag = "cdp",
    params(("browser_id" = String, Path, description = "From `/json/version`.")),
    responses((status = 101, description = "CDP, one JSON message a frame."),
        Refused<(AskChromium, UpgradeToWebSocket)>))]
pub(crate) async fn browser_by_id(
    tunnels: State<Tunnels>,
    Path(id): Path<String>,
    token: TokenSession,
    request: Request,
) -> Result<Response> {
    connect(tunnels, token, Endpoint::BrowserById(id), request).await
}

/// CDP to one page
#[utoipa::path(get, path = "/browser/cdp/devtools/page/{target_id}", operation_id = "cdp.connect_page",
    tag = "cdp",
    params(("target_id" = String, Path, description = "From `/json/list`.")),
    responses((status = 101, description = "CDP, one JSON message a frame."),
        Refused<(AskChromium, UpgradeToWebSocket)>))]
pub(crate) async fn page(
    tunnels: State<Tunnels>,
    Path(id): Path<String>,
    token: TokenSession,
    request: Request,
) -> Result<Response> {
    connect(tunnels, token, Endpoint::Page(id), request).await
}

async fn connect(
    State(tunnels): State<Tunnels>,
    token: TokenSession,
    endpoint: Endpoint,
    mut request: Request,
) -> Result<Response> {
    let handshake = WebSocketRequest::read(request.method(), request.headers())?;
    let session = token.live;
    let _activity = session.activity();
    let dialed = session.dial_browser().await;
    let BrowserStream { mut stream, host, path: browser_path } = match dialed {
        Ok(dialed) => dialed,
        Err(error) => return Err(refusal::no_chromium(&session, &error).await),
    };
    let encode = |id: &str| utf8_percent_encode(id, NON_ALPHANUMERIC).to_string();
    let path = match &endpoint {
        Endpoint::Browser => browser_path,
        Endpoint::BrowserById(id) => format!("/devtools/browser/{}", uuid_or(id, encode)),
        Endpoint::Page(id) => format!("/devtools/page/{}", encode(id)),
    };
    let answer = match tunnel::open(&mut stream, &handshake, &host, &path).await {
        Ok(answer) => answer,
        Err(error) => return Err(refusal::no_chromium(&session, &error).await),
    };
    match answer.status {
        StatusCode::SWITCHING_PROTOCOLS => {}
        // Chromium says 500 to a target it does not have.
        status if status.is_client_error() || status == StatusCode::INTERNAL_SERVER_ERROR => {
            return Err(Error::new(
                ErrorCode::NotFound,
                "Chromium has no such target (any more); /json/list has the present ones",
            ));
        }
        status => {
            let cause = format!("it answered {status}");
            return Err(refusal::no_chromium(&session, &cause).await);
        }
    }
    let inside =
        Inside { kind: Kind::Cdp, stream, leftover: answer.leftover, headers: answer.headers };
    Ok(tunnels.accept(&session, Upgrade::of(&mut request), inside))
}

/// Browser ids are UUIDs, whose hyphens Chromium compares unescaped.
fn uuid_or(id: &str, otherwise: impl Fn(&str) -> String) -> String {
    match uuid::Uuid::try_parse(id) {
        Ok(_) => id.to_owned(),
        Err(_) => otherwise(id),
    }
}
