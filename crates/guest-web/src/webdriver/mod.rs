//! `WebDriver` and `WebDriver BiDi`, through `chromedriver` attached to the session's own Chromium.
//!
//! ```text
//!  GET /webdriver/session        ──upgrade──▶ bidi    ─┐ session.new,     ┌──────────────┐
//!  GET /webdriver/session/{id}   ──upgrade──▶ bidi    ─┤ POST /session:   │ chromedriver │──▶ Chromium's
//!  any /webdriver/{path}         ───HTTP────▶ classic ─┘ debuggerAddress ▶└──────────────┘    debugging port
//! ```
//!
//! `chromedriver` is started with the first request and stays until the session ends: a driver
//! session may lie between two requests without any connection to tell that it is in use. It never
//! starts a browser, and the end of a driver session leaves Chromium running.

mod bidi;
mod capabilities;
mod classic;
mod driver;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod public_url;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use browserd_api::ErrorCode;
use browserd_guest_browser::Browser;
use browserd_guest_http::websocket;
use browserd_guest_session::Session;
use browserd_rest::{Error, Result};
use http::{HeaderName, Method};

use driver::Driver;

/// Set by `serve`: the full public URL of this session's `BiDi` endpoint, with its token, from
/// which the URLs in answers are made. Must not be taken from clients.
pub const PUBLIC_URL_HEADER: HeaderName = HeaderName::from_static("x-browserd-webdriver-url");

/// Where the routes are below the guest's root.
const PREFIX: &str = "/webdriver";

/// What the handlers need.
#[derive(Clone)]
struct WebDriver {
    browser: Browser,
    driver: Driver,
}

/// The routes below `/webdriver`. The driver ends with the browser.
pub fn router(session: Arc<Session>, browser: Browser) -> Router {
    let driver = Driver::new(session, &browser);
    Router::new().route("/webdriver/{*path}", any(handle)).with_state(WebDriver { browser, driver })
}

async fn handle(State(webdriver): State<WebDriver>, request: Request) -> Result<Response> {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default().to_owned();
    if websocket::asks(request.headers()) {
        return bidi::upgrade(webdriver, &path, request).await;
    }
    if path == "/session" && request.method() == Method::GET {
        return Err(Error::new(
            ErrorCode::UpgradeRequired,
            "GET /webdriver/session speaks WebSocket (WebDriver BiDi); \
             to create a classic WebDriver session, POST to it",
        ));
    }
    classic::forward(&webdriver, &path, request).await
}
