//! Making folders, and unmaking them when what they were made for fails.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, mkdirat, unlinkat};
use rustix::io::Errno;

use super::owner::Owner;
use super::place;

/// Default permissions of folders.
pub(crate) const FOLDER_MODE: Mode = Mode::from_raw_mode(0o755);

/// Folders that were made on the way; they go again, last first, unless kept.
#[derive(Debug, Default)]
pub(crate) struct Made(Vec<(OwnedFd, OsString)>);

impl Made {
    /// What was made stays.
    pub(crate) fn keep(mut self) {
        self.0.clear();
    }

    /// Opens `path` below `from` (an absolute path: below `/`), making each folder that is missing.
    /// Links on the way are followed.
    pub(crate) fn enter(
        &mut self,
        from: &OwnedFd,
        path: &OsStr,
        owner: Owner,
    ) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        match place::open(from, path, flags) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let start = if path.as_bytes().starts_with(b"/") { "/" } else { "." };
        let mut dir = place::open(from, OsStr::new(start), flags)?;
        for part in path.as_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            let part = OsStr::from_bytes(part);
            dir = match place::open(&dir, part, flags) {
                Err(Errno::NOENT) => {
                    if place::is_kernels(&dir)? {
                        return Err(Errno::ROFS);
                    }
                    match make(&dir, part, FOLDER_MODE, owner) {
                        Ok(()) => {
                            let above = dir.try_clone().map_err(|_| Errno::MFILE)?;
                            self.0.push((above, part.into()));
                        }
                        Err(Errno::EXIST) => {}
                        Err(errno) => return Err(errno),
                    }
                    place::open(&dir, part, flags)?
                }
                other => other?,
            };
        }
        Ok(dir)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        while let Some((dir, name)) = self.0.pop() {
            // Something was put there meanwhile: then it stays.
            let _ = unlinkat(dir, name.as_os_str(), AtFlags::REMOVEDIR);
        }
    }
}

/// Makes one folder, whatever the umask says.
pub(crate) fn make(
    dir: impl AsFd,
    name: &OsStr,
    mode: Mode,
    owner: Owner,
) -> rustix::io::Result<()> {
    let dir = dir.as_fd();
    mkdirat(dir, name, Mode::from_raw_mode(0o700))?;
    let made = place::open_plain(dir, name, OFlags::RDONLY | OFlags::DIRECTORY)
        .and_then(|fd| owner.take(&fd).and_then(|()| fchmod(&fd, mode)));
    if made.is_err() {
        let _ = unlinkat(dir, name, AtFlags::REMOVEDIR);
    }
    made
}
