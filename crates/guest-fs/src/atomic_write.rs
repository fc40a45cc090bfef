//! Files that are written beside their place and appear there whole.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, fchmod, openat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use super::owner::Owner;
use super::place::{self, Place};

/// How names of files that are not there yet begin. Watches do not show them.
pub(crate) const PREFIX: &str = ".browserd-part-";

/// Default permissions of files.
pub(crate) const FILE_MODE: Mode = Mode::from_raw_mode(0o644);

/// A fresh name.
pub(crate) fn name() -> OsString {
    format!("{PREFIX}{}", browserd_api::ids::new_cuid2()).into()
}

/// Whether `name` is one of [`name`].
pub(crate) fn is_pending(name: &OsStr) -> bool {
    name.as_bytes().starts_with(PREFIX.as_bytes())
}

/// A file that is being written under a temporary name in a folder; deleted when dropped unless
/// [put](AtomicWrite::put).
#[derive(Debug)]
pub(crate) struct AtomicWrite {
    dir: OwnedFd,
    /// Empty once it has another name.
    name: OsString,
}

impl AtomicWrite {
    /// Begins one in `dir`, open for writing.
    pub(crate) fn new(dir: impl AsFd, owner: Owner) -> rustix::io::Result<(Self, File)> {
        let dir = place::open(dir, OsStr::new("."), OFlags::PATH | OFlags::DIRECTORY)?;
        let name = name();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&dir, name.as_os_str(), flags, Mode::from_raw_mode(0o600))?;
        let write = Self { dir, name };
        owner.take(&file)?;
        Ok((write, file.into()))
    }

    /// Gives it the place's name, in one step, with these permissions. What had the name before is
    /// replaced, unless it is a folder. Without `mode` a file that is replaced hands on its
    /// permissions and its owner. `undoable` keeps what was there until the answer is dropped.
    pub(crate) fn put(
        mut self,
        file: &File,
        place: &Place,
        mode: Option<Mode>,
        undoable: bool,
    ) -> rustix::io::Result<Put> {
        let before = match place.stat() {
            Ok(stat) => Some(stat),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(errno),
        };
        if let Some(stat) = &before {
            match place::kind(stat) {
                FileType::RegularFile => {}
                FileType::Directory => return Err(Errno::ISDIR),
                _ => return Err(Errno::NXIO),
            }
            if mode.is_none() {
                // Where there is one user only, it is the owner already, or may not be.
                let (uid, gid) = (stat.st_uid, stat.st_gid);
                let _ = std::os::unix::fs::fchown(file, Some(uid), Some(gid));
            }
        }
        let kept = before.map_or(FILE_MODE, |stat| Mode::from_raw_mode(stat.st_mode & 0o777));
        fchmod(file, mode.unwrap_or(kept))?;
        let (from, to) = (self.name.as_os_str(), place.name.as_os_str());
        if undoable && before.is_some() {
            // What was there keeps the temporary name, until the caller is sure.
            match renameat_with(&self.dir, from, &place.dir, to, RenameFlags::EXCHANGE) {
                Ok(()) => return Ok(Put { write: self, to: duplicate(place)?, exchanged: true }),
                // Gone meanwhile, or a file system that cannot.
                Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS) => {}
                Err(errno) => return Err(errno),
            }
        }
        rustix::fs::renameat(&self.dir, from, &place.dir, to)?;
        self.name.clear();
        Ok(Put { write: self, to: duplicate(place)?, exchanged: false })
    }

    /// Moves it to another folder under its name; `EXDEV` where that takes copying.
    pub(crate) fn move_to(&mut self, dir: &OwnedFd) -> rustix::io::Result<()> {
        let to = place::open(dir, OsStr::new("."), OFlags::PATH | OFlags::DIRECTORY)?;
        rustix::fs::renameat(&self.dir, self.name.as_os_str(), &to, self.name.as_os_str())?;
        self.dir = to;
        Ok(())
    }
}

fn duplicate(place: &Place) -> rustix::io::Result<Place> {
    let dir = place.dir.try_clone().map_err(|_| Errno::MFILE)?;
    Ok(Place { dir, name: place.name.clone() })
}

impl Drop for AtomicWrite {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            let _ = unlinkat(&self.dir, self.name.as_os_str(), AtFlags::empty());
        }
    }
}

/// A file in its place. Dropping this keeps it.
#[derive(Debug)]
pub(crate) struct Put {
    write: AtomicWrite,
    to: Place,
    /// The temporary name has what was there before.
    exchanged: bool,
}

impl Put {
    /// Puts back what was there before.
    pub(crate) fn undo(self) {
        let to = self.to.name.as_os_str();
        // The way there was open a moment ago; if it is not any more, somebody else has changed it.
        if self.exchanged {
            let name = self.write.name.as_os_str();
            let _ = renameat_with(&self.write.dir, name, &self.to.dir, to, RenameFlags::EXCHANGE);
        } else {
            let _ = unlinkat(&self.to.dir, to, AtFlags::empty());
        }
    }
}
