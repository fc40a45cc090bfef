//! A folder only the guest can enter, where archives wait and are unpacked. Removed when dropped.

use std::io;
use std::path::{Path, PathBuf};

use browserd_guest_fs::StagingDir;
use browserd_guest_session::Session;

pub(super) struct Staging(StagingDir);

impl Staging {
    pub(super) fn new(session: &Session) -> io::Result<Self> {
        StagingDir::new(session, "extensions").map(Self)
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn at(path: PathBuf) -> io::Result<Self> {
        StagingDir::at(path).map(Self)
    }

    /// Where the `at`th archive is.
    pub(super) fn archive(&self, at: usize) -> PathBuf {
        self.path().join(format!("{at}.zip"))
    }

    /// Where it is unpacked.
    pub(super) fn unpacked(&self, at: usize) -> PathBuf {
        self.path().join(format!("{at}"))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}
