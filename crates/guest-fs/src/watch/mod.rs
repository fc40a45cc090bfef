//! Watching folders for changes.
//!
//! Owns the table of watches. A watch has an inotify instance and a task of its own, which turns what
//! the kernel says into events and keeps the last of them for whoever reads.
//!
//! ```text
//!  inotify ─▶ Tree (which folder is which, folders that come and go) ─▶ Ring ─▶ readers
//!                                                                bounded, each at its own pace
//! ```

mod events;
mod ring;
mod start;
mod stop;
mod tree;

use std::collections::HashMap;
use std::sync::Arc;

use browserd_api::ErrorCode;
use browserd_rest::{Error, Result};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

pub(super) use events::{__path_events, events};
pub(super) use start::{__path_start, start};
pub(super) use stop::{__path_stop, stop};

use ring::Ring;

/// Watches there may be at one time.
const WATCHES: usize = 32;

/// A watch a client has started.
struct Watch {
    ring: Arc<Ring>,
    task: AbortHandle,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
        self.ring.close();
    }
}

/// All watches of the session.
#[derive(Default)]
pub(super) struct Watches(Mutex<HashMap<String, Watch>>);

impl Watches {
    /// Whether one more may be.
    fn check_room(&self) -> Result<()> {
        if self.0.lock().len() < WATCHES {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::TooManyRequests,
            format!("{WATCHES} watches are active; stop one with DELETE first"),
        ))
    }

    fn add(&self, watch: Watch) -> Result<String> {
        self.check_room()?;
        let id = browserd_api::ids::new_cuid2();
        self.0.lock().insert(id.clone(), watch);
        Ok(id)
    }

    fn ring(&self, id: &str) -> Result<Arc<Ring>> {
        self.0.lock().get(id).map(|watch| Arc::clone(&watch.ring)).ok_or_else(not_found)
    }

    fn remove(&self, id: &str) -> Result<()> {
        let watch = self.0.lock().remove(id);
        watch.map(drop).ok_or_else(not_found)
    }
}

fn not_found() -> Error {
    Error::new(ErrorCode::NotFound, "no such watch in this session, or it was stopped")
}
