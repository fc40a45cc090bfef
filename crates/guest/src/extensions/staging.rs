//! A folder only the guest can enter, where archives wait and are unpacked. Removed when dropped.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::session::Session;

pub(super) struct Staging(PathBuf);

impl Staging {
    pub(super) fn new(session: &Session) -> io::Result<Self> {
        Self::at(session.places.state.join(format!("extensions-{}", Uuid::new_v4())))
    }

    pub(super) fn at(path: PathBuf) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where the `at`th archive is.
    pub(super) fn archive(&self, at: usize) -> PathBuf {
        self.0.join(format!("{at}.zip"))
    }

    /// Where it is unpacked.
    pub(super) fn unpacked(&self, at: usize) -> PathBuf {
        self.0.join(format!("{at}"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        let remove = move || {
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!(%error, "a folder of an upload is still there");
            }
        };
        // No runtime: the guest is ending, and the session's files with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(remove);
        }
    }
}
