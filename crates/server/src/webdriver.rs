//! `WebDriver` `BiDi`: tunnelled to the guest, which runs the driver beside the browser.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use browserd_api::ErrorCode;
use browserd_rest::{Error, Refused, Result, refusals};
use http::{HeaderName, HeaderValue};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::token::TokenSession;
use crate::tunnel::UpgradeToWebSocket;
use crate::{query, relay, tunnel};

refusals! {
    /// Connecting to the driver through the guest.
    ConnectDriver: BadRequest, BrowserNotFound, UpstreamUnavailable, Internal;
}

/// Where `WebDriver` lives.
pub(crate) const PREFIX: &str = "/browser/webdriver";

/// Tells the guest the URL under which clients reach its WebSocket, for answers that name it.
const URL_HEADER: HeaderName = HeaderName::from_static("x-browserd-webdriver-url");

/// `WebDriver` `BiDi`
///
/// A WebSocket. `webdriver_ws_url` of a session is this endpoint with its token.
#[utoipa::path(get, path = "/browser/webdriver/session", operation_id = "webdriver.connect", tag = "webdriver",
    responses((status = 101, description = "`WebDriver` `BiDi`, one JSON message a frame."),
        Refused<(ConnectDriver, UpgradeToWebSocket)>))]
pub(crate) async fn connect(
    State(app): State<App>,
    token: TokenSession,
    request: Request,
) -> Result<Response> {
    if !tunnel::asks(request.headers()) {
        return Err(Error::new(
            ErrorCode::UpgradeRequired,
            "this route speaks WebSocket (version 13) only; connect with a WebSocket client",
        ));
    }
    relay_to_driver(&app, token, request).await
}

/// Everything else below the prefix: classic commands, which some clients send first.
pub(crate) async fn rest(
    State(app): State<App>,
    token: TokenSession,
    request: Request,
) -> Response {
    relay_to_driver(&app, token, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn relay_to_driver(app: &App, token: TokenSession, request: Request) -> Result<Response> {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let target = query::join(&format!("/webdriver{path}"), &token.query);
    let url = format!("{}{PREFIX}/session?jwt={}", app.public.ws, token.jwt);
    let extra = HeaderValue::from_str(&url).ok().map(|url| (URL_HEADER, url));
    relay::forward(app, &token.live, &target, request, extra).await
}

/// The documented route of this module.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(connect))
}
