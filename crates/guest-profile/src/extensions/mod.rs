//! Extensions loaded into the running browser.
//!
//! Owns the folders below `~/extensions`, the form they come in, and the route `/extensions`. What is
//! loaded lasts: a Chromium that starts later in the session gets the same ones.
//!
//! ```text
//!  multipart ─▶ spool (private) ─▶ unzip (private) ─▶ ~/extensions/<name> ─▶ Extensions.loadUnpacked
//!                 400               400                 400 taken    │          │ 400: all taken back
//!                                    └ .crx, update.xml checked      │          └▶ kept for restarts
//!                                      400                           └▶ update server, policy
//! ```

mod form;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod load;
mod packed;
mod place;
mod staging;
mod updates;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use browserd_guest_browser::Browser;
use browserd_guest_session::Session;
use tokio::sync::{Mutex, Semaphore};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use updates::Updates;

/// Most extensions in one request.
const AT_ONCE: usize = 20;
/// Largest archive, bytes.
const ARCHIVE: u64 = 50 << 20;
/// Uploads read at one time; more wait.
const UPLOADS: usize = 2;

/// What the route works on. Cheap to clone.
#[derive(Clone)]
pub struct Extensions(Arc<Inner>);

struct Inner {
    session: Arc<Session>,
    browser: Browser,
    uploads: Semaphore,
    updates: Updates,
    /// One load at a time, so that what fails can be taken back.
    loading: Mutex<()>,
}

impl Extensions {
    /// Extensions of `browser`.
    #[must_use]
    pub fn new(session: Arc<Session>, browser: Browser) -> Self {
        let (uploads, loading) = (Semaphore::new(UPLOADS), Mutex::new(()));
        let updates = Updates::default();
        Self(Arc::new(Inner { session, browser, uploads, updates, loading }))
    }
}

/// The route of this room, as the guest serves it.
pub fn routes() -> OpenApiRouter<Extensions> {
    OpenApiRouter::new().routes(routes!(load::load)).layer(DefaultBodyLimit::disable())
}
