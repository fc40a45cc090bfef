//! What clients asked of the browser that holds for every Chromium of the session, also for one that
//! starts later.

use std::path::PathBuf;

use browserd_api::browser::{SessionConfig, Viewport};
use parking_lot::Mutex;

/// Most extensions kept; loading more works, but a restart would take too long.
const EXTENSIONS: usize = 200;

/// What holds now.
pub(crate) struct Standing {
    viewport: Mutex<Viewport>,
    extensions: Mutex<Vec<PathBuf>>,
}

impl Standing {
    pub(super) fn new(config: &SessionConfig) -> Self {
        Self { viewport: Mutex::new(config.viewport), extensions: Mutex::default() }
    }

    /// The size of windows and screen.
    pub(crate) fn viewport(&self) -> Viewport {
        *self.viewport.lock()
    }

    /// Changes it.
    pub(crate) fn keep_viewport(&self, viewport: Viewport) {
        *self.viewport.lock() = viewport;
    }

    /// Folders of the extensions that are loaded.
    pub(crate) fn extensions(&self) -> Vec<PathBuf> {
        self.extensions.lock().clone()
    }

    /// Adds some.
    pub(crate) fn keep_extensions(&self, folders: Vec<PathBuf>) {
        let mut extensions = self.extensions.lock();
        extensions.extend(folders);
        extensions.truncate(EXTENSIONS);
    }
}
