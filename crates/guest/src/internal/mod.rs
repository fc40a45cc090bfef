//! Routes between the server and the guest: what `PATCH /browsers/{id}` and profiles need done inside.
//!
//! They are in no public document and the server relays no client to them; the server has checked what it
//! sends. Each takes JSON and answers 204, but those of profiles, which take and give archives: what is
//! in an archive that was not checked.

mod location;
mod profile;
mod start_url;
mod viewport;

use axum::Router;
use axum::routing::{post, put};
use browserd_guest_browser::Browser;
use browserd_guest_profile::Profile;
use browserd_rest::body_limit;

/// Largest body, bytes; a profile may be as large as the session's disk.
const BODY: usize = 64 << 10;

/// What the routes work on. Cheap to clone.
#[derive(Clone)]
struct Internal {
    browser: Browser,
}

/// The routes below `/internal`.
pub fn router(browser: Browser, profile: Profile) -> Router {
    let profiles = Router::new()
        .route("/internal/profile", put(profile::apply))
        .route("/internal/profile/save", post(profile::save))
        .with_state(profile);
    Router::new()
        .route("/internal/viewport", post(viewport::viewport))
        .route("/internal/location", post(location::location))
        .route("/internal/start_url", post(start_url::start_url))
        .layer(body_limit(BODY))
        .with_state(Internal { browser })
        .merge(profiles)
}
