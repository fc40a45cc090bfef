//! Whose new files are.

use std::os::fd::AsFd;

use browserd_guest_session::Session;
use rustix::fs::{AtFlags, Gid, Uid, chownat, fchown};

/// The browser's user, or nobody in particular where only one user exists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner(Option<(Uid, Gid)>);

impl Owner {
    pub(crate) fn of(session: &Session) -> Self {
        let ids = session.browser_ids();
        Self(ids.map(|ids| (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid))))
    }

    /// Whoever makes a file keeps it.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn nobody() -> Self {
        Self(None)
    }

    /// Gives an open file or folder to the owner.
    pub(crate) fn take(self, fd: impl AsFd) -> rustix::io::Result<()> {
        match self.0 {
            Some((uid, gid)) => fchown(fd, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// Gives a link to the owner.
    pub(crate) fn take_link(
        self,
        dir: impl AsFd,
        name: &std::ffi::OsStr,
    ) -> rustix::io::Result<()> {
        match self.0 {
            Some((uid, gid)) => chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW),
            None => Ok(()),
        }
    }
}
