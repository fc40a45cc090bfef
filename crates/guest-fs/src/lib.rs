//! Files inside the session: reading, writing, listing, moving, archives, watching for changes, and
//! logs as event streams.
//!
//! Owns the routes below `/fs` and `/logs`, the watches clients have started, and the one way to pack
//! and unpack archives, which profiles and extensions take too. Knows neither processes nor Chromium;
//! where downloads go is Chromium's affair.
//!
//! ```text
//!  path ─▶ Given ─▶ Place (folder open, name)         no magic links, nothing in /proc
//!           400        │
//!  body ─▶ AtomicWrite ─▶ put: one rename          dropped before: nothing is left
//!  archive ─▶ spooled file ─▶ Staging folder ─▶ merged into its place
//!  folder ─▶ Walk ─▶ zip or tar ─▶ frames as the client reads them
//! ```
//!
//! Blocking work is done on the runtime's blocking threads; the guest's own thread only passes
//! bytes on.

mod accounts;
pub mod archive;
mod atomic_write;
mod copy;
mod create_directory;
mod delete;
mod download;
mod folders;
mod form;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod info;
mod inotify;
pub mod logs;
mod move_path;
mod offers;
mod owner;
mod path;
mod permissions;
mod place;
mod range;
mod read_file;
mod refuse;
mod routes;
mod sink;
mod spool;
mod staging_dir;
mod upload;
mod upload_archive;
mod walk;
mod watch;
mod write_file;

use std::sync::Arc;

use browserd_api::ErrorCode;
use browserd_guest_session::Session;
use browserd_guest_session::disk::Disk;
use browserd_rest::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use form::{HEAD_LIMIT, Idle, parts};
pub use offers::Offers;
pub use owner::Owner;
pub(crate) use path::Given;
pub use place::open_plain;
pub(crate) use place::{Place, file, open, through};
pub use refuse::refuse_io;
pub use routes::routes;
pub use sink::pour;
pub use staging_dir::StagingDir;

/// Archives packed or unpacked at one time; each takes a thread.
const ARCHIVES: usize = 8;

/// What the routes work on. Cheap to clone.
#[derive(Clone)]
pub struct Files(Arc<Inner>);

struct Inner {
    session: Arc<Session>,
    archives: Arc<Semaphore>,
    watches: watch::Watches,
    offers: Offers,
}

impl Files {
    /// The files of `session`.
    #[must_use]
    pub fn new(session: Arc<Session>) -> Self {
        Self(Arc::new(Inner {
            session,
            archives: Arc::new(Semaphore::new(ARCHIVES)),
            watches: watch::Watches::default(),
            offers: Offers::default(),
        }))
    }

    fn disk(&self) -> &Disk {
        &self.0.session.disk
    }

    /// What is left to `serve` to send.
    #[must_use]
    pub fn offers(&self) -> &Offers {
        &self.0.offers
    }

    fn owner(&self) -> Owner {
        Owner::of(&self.0.session)
    }

    /// Permission to pack or unpack an archive.
    ///
    /// # Errors
    ///
    /// 429 when as many as may are at it.
    fn archive_slot(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.0.archives).try_acquire_owned().map_err(|_| {
            Error::new(
                ErrorCode::TooManyRequests,
                format!("{ARCHIVES} archives are being packed or unpacked; wait for one to end"),
            )
        })
    }
}

/// Runs `work` where it may block.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|gone| Err(Error::internal(gone)))
}
