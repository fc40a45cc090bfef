//! A folder only the guest can enter, where things of clients wait until they are put in their place.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use browserd_guest_session::Session;
use uuid::Uuid;

/// The folder. Removed when dropped, with all that is in it.
pub struct StagingDir(PathBuf);

impl StagingDir {
    /// Makes one for `what`, on the session's disk.
    pub fn new(session: &Session, what: &str) -> io::Result<Self> {
        Self::at(session.places.state.join(format!("{what}-{}", Uuid::new_v4())))
    }

    /// Makes it here.
    pub fn at(path: PathBuf) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for StagingDir {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        let remove = move || {
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!(
                    %error,
                    path = %path.display(),
                    "a staging directory could not be removed; it goes with the session"
                );
            }
        };
        // No runtime: the guest is ending, and the session's files with it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(remove);
        }
    }
}
