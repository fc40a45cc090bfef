//! CDP: `WebSocket`s to Chromium's debugging port and the discovery endpoints beside it.
//!
//! Owns the URLs. Each connection is a socket the session's guest connected and handed over; after
//! the handshake its bytes are copied and never parsed. `/json*` answers are Chromium's, with our
//! URLs in place of its own.

mod connect;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod json;
mod rewrite;

use std::sync::Arc;

use axum::extract::FromRef;
use axum::routing::{get, put};
use browserd_fleet::Fleet;
use browserd_rest::refusals;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::public_url::PublicUrl;
use crate::token::Tokens;
use crate::tunnel::Tunnels;

refusals! {
    /// Asking Chromium for something it may not have.
    pub(crate) AskChromium: BadRequest, NotFound, BrowserNotFound, UpstreamUnavailable, ShuttingDown;
}

/// Where CDP lives; discovery answers point below it.
pub(crate) const PREFIX: &str = "/browser/cdp";

/// All routes, with the document of those that have one name. The aliases at the root are for clients
/// that know a host and port only.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Tokens: FromRef<S>,
    Fleet: FromRef<S>,
    Tunnels: FromRef<S>,
    Arc<PublicUrl>: FromRef<S>,
{
    let mut router = OpenApiRouter::default()
        .routes(routes!(connect::browser))
        .routes(routes!(connect::page))
        .routes(routes!(connect::browser_by_id))
        .routes(routes!(json::version))
        .routes(routes!(json::list))
        .routes(routes!(json::protocol))
        .routes(routes!(json::new))
        .routes(routes!(json::activate))
        .routes(routes!(json::close))
        .route("/browser/cdp/", get(connect::browser));
    for prefix in [PREFIX, ""] {
        for slash in ["", "/"] {
            let at = |path: &str| format!("{prefix}{path}{slash}");
            router = router
                .route(&at("/json"), get(json::list))
                .route(&at("/devtools/browser"), get(connect::browser));
            if prefix.is_empty() || !slash.is_empty() {
                router = router
                    .route(&at("/json/version"), get(json::version))
                    .route(&at("/json/list"), get(json::list))
                    .route(&at("/json/protocol"), get(json::protocol))
                    .route(&at("/json/new"), put(json::new))
                    .route(&at("/json/activate/{target_id}"), get(json::activate))
                    .route(&at("/json/close/{target_id}"), get(json::close))
                    .route(&at("/devtools/browser/{browser_id}"), get(connect::browser_by_id))
                    .route(&at("/devtools/page/{target_id}"), get(connect::page));
            }
        }
    }
    router
}
