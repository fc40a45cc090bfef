//! Routes between the server and the guest: what `PATCH /browsers/{id}` needs done inside.
//!
//! They are in no public document and the server relays nobody to them; the server has checked what it
//! sends. Each takes JSON and answers 204.

mod location;
mod start_url;
mod viewport;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::post;

use crate::browser::Browser;

/// Largest body, bytes.
const BODY: usize = 64 << 10;

/// What the routes work on. Cheap to clone.
#[derive(Clone)]
struct Internal {
    browser: Browser,
}

/// The routes below `/internal`.
pub fn router(browser: Browser) -> Router {
    Router::new()
        .route("/internal/viewport", post(viewport::viewport))
        .route("/internal/location", post(location::location))
        .route("/internal/start_url", post(start_url::start_url))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(Internal { browser })
}
