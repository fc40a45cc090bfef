//! `WebDriver` `BiDi`: tunnelled to the guest, which runs the driver beside the browser.

use std::sync::Arc;

use axum::extract::{FromRef, Request, State};
use axum::response::{IntoResponse, Response};
use browserd_api::ErrorCode;
use browserd_fleet::Fleet;
use browserd_rest::{Error, Refused, Result, refusals};
use http::{HeaderName, HeaderValue};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::public_url::PublicUrl;
use crate::relay::Relay;
use crate::token::{TokenSession, Tokens};
use crate::tunnel::UpgradeToWebSocket;
use crate::{query, tunnel};

refusals! {
    /// Connecting to the driver through the guest.
    ConnectDriver: BadRequest, BrowserNotFound, UpstreamUnavailable, ShuttingDown, Internal;
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
    State(relay): State<Relay>,
    State(public): State<Arc<PublicUrl>>,
    token: TokenSession,
    request: Request,
) -> Result<Response> {
    if !tunnel::asks(request.headers()) {
        return Err(Error::new(
            ErrorCode::UpgradeRequired,
            "this route speaks WebSocket (version 13) only; connect with a WebSocket client",
        ));
    }
    relay_to_driver(&relay, &public, token, request).await
}

/// Everything else below the prefix: classic commands, which some clients send first.
pub(crate) async fn rest(
    State(relay): State<Relay>,
    State(public): State<Arc<PublicUrl>>,
    token: TokenSession,
    request: Request,
) -> Response {
    relay_to_driver(&relay, &public, token, request)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

async fn relay_to_driver(
    relay: &Relay,
    public: &PublicUrl,
    token: TokenSession,
    request: Request,
) -> Result<Response> {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let target = query::join(&format!("/webdriver{path}"), &token.query);
    let url = format!("{}{PREFIX}/session?jwt={}", public.ws, token.jwt);
    let extra = HeaderValue::from_str(&url).ok().map(|url| (URL_HEADER, url));
    relay.forward(&token.live, &target, request, extra).await
}

/// The documented route of this module.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Tokens: FromRef<S>,
    Fleet: FromRef<S>,
    Relay: FromRef<S>,
    Arc<PublicUrl>: FromRef<S>,
{
    OpenApiRouter::default().routes(routes!(connect))
}
