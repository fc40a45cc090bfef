//! Whose new files are.

use std::os::fd::AsFd;

use browserd_guest_session::Session;
use rustix::fs::{AtFlags, Gid, Uid, chownat, fchown};

/// The browser's user, or nobody in particular where only one user exists.
#[derive(Debug, Clone, Copy)]
pub struct Owner(Option<(Uid, Gid)>);

impl Owner {
    /// Of what is written into `session`.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        let ids = session.browser_ids();
        Self(ids.map(|ids| (Uid::from_raw(ids.uid), Gid::from_raw(ids.gid))))
    }

    /// Whoever makes a file keeps it.
    #[must_use]
    pub fn nobody() -> Self {
        Self(None)
    }

    /// Gives an open file or folder to the owner.
    pub fn take(self, fd: impl AsFd) -> rustix::io::Result<()> {
        match self.0 {
            Some((uid, gid)) => fchown(fd, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// Gives a link to the owner.
    pub fn take_link(self, dir: impl AsFd, name: &std::ffi::OsStr) -> rustix::io::Result<()> {
        match self.0 {
            Some((uid, gid)) => chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW),
            None => Ok(()),
        }
    }
}
