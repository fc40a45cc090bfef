//! Log files of the session as event streams.
//!
//! Owns the route below `/logs`. Writes no log: the session's own programs have theirs written by
//! `guest-browser` (`logs.rs`), and any other text file can be read by its path.
//!
//! ```text
//!  source ─▶ Source (file, and the one before it) ─▶ Tail ─▶ lines ─▶ events
//!                                   inotify on its folder wakes it
//! ```

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lines;
mod source;
mod stream;
mod tail;

use std::sync::Arc;

use browserd_api::ErrorCode;
use browserd_guest_session::Session;
use browserd_rest::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Streams there may be at one time; each has an inotify instance.
const STREAMS: usize = 64;

/// What the route works on. Cheap to clone.
#[derive(Clone)]
pub struct LogStreams {
    session: Arc<Session>,
    slots: Arc<Semaphore>,
}

impl LogStreams {
    /// The logs of `session`.
    #[must_use]
    pub fn new(session: Arc<Session>) -> Self {
        Self { session, slots: Arc::new(Semaphore::new(STREAMS)) }
    }

    fn slot(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().map_err(|_| {
            Error::new(
                ErrorCode::TooManyRequests,
                format!("{STREAMS} log streams are open in this session; close one first"),
            )
        })
    }
}

/// All log routes, as the guest serves them.
pub fn routes() -> OpenApiRouter<LogStreams> {
    OpenApiRouter::new().routes(routes!(stream::stream))
}
