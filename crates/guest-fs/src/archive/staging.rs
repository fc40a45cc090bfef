//! A folder in which an archive is unpacked before anything of it appears in its place.
//!
//! Only the guest may enter it, so nothing that runs in the session can exchange a folder for a link
//! while it is filled. Every entry is opened by descriptors without following any link, so a link an
//! archive brings cannot make a later entry go elsewhere. Merged into the destination at the end;
//! dropped before that, nothing of it is left.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use browserd_guest_session::disk::{Disk, ENTRY};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, fchmod, futimens, linkat, mkdirat,
    openat, renameat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::super::atomic_write::{self, FILE_MODE};
use super::super::delete;
use super::super::folders::{self, FOLDER_MODE};
use super::super::owner::Owner;
use super::super::place::{kind, open_plain};
use super::super::walk::{Step, Walk};
use super::limits::{Allowance, Limits};
use super::names::{self, stays_inside};
use super::{Refused, entry};

/// The folder being filled.
pub(crate) struct Staging {
    /// The destination.
    dest: OwnedFd,
    name: OsString,
    root: OwnedFd,
    owner: Owner,
    left: Allowance,
    /// See [`Staging::plain`].
    plain: bool,
    /// See [`Staging::only`].
    wanted: fn(&[&[u8]]) -> bool,
    disk: Disk,
    /// Names of what is no folder.
    seen: HashSet<Vec<u8>>,
    buffer: Vec<u8>,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

impl Staging {
    /// Makes one for the folder `dest`.
    pub(crate) fn new(
        dest: OwnedFd,
        owner: Owner,
        limits: Limits,
        disk: Disk,
    ) -> Result<Self, Refused> {
        disk.admit_blocking(ENTRY, 1)?;
        let name = atomic_write::name();
        mkdirat(&dest, name.as_os_str(), Mode::from_raw_mode(0o700))?;
        let root = open_plain(&dest, &name, FOLDER)?;
        let buffer = vec![0; 128 << 10];
        let (left, seen) = (Allowance::of(limits), HashSet::new());
        let wanted = |_: &[&[u8]]| true;
        Ok(Self { dest, name, root, owner, left, plain: false, wanted, disk, seen, buffer })
    }

    /// Takes files and folders only, with default permissions.
    pub(super) fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Takes only files and folders whose parts of the name `wanted` says yes to.
    pub(super) fn only(mut self, wanted: fn(&[&[u8]]) -> bool) -> Self {
        self.wanted = wanted;
        self
    }

    /// Whether a file or folder of this name is taken.
    pub(super) fn wants(&self, parts: &[&[u8]]) -> bool {
        (self.wanted)(parts)
    }

    /// The parts of an entry's name, the first `strip` of them taken away; see [`names::parts`].
    pub(super) fn parts<'a>(&self, name: &'a [u8], strip: usize) -> Result<Vec<&'a [u8]>, Refused> {
        names::parts(name, strip, self.left.depth())
    }

    /// Counts an entry; to be called for every one.
    pub(super) fn count(&mut self) -> Result<(), Refused> {
        self.left.entry()?;
        Ok(self.disk.admit_blocking(ENTRY, 1)?)
    }

    /// Makes a folder, and those above it.
    pub(super) fn folder(&mut self, parts: &[&[u8]], mode: Option<u32>) -> Result<(), Refused> {
        let dir = self.enter(parts)?;
        if let Some(mode) = mode.filter(|_| !self.plain) {
            // Always passable for its owner: what else is in the archive must get in.
            fchmod(&dir, Mode::from_raw_mode(mode & 0o777 | 0o700))?;
        }
        Ok(())
    }

    /// Makes a file with what `content` gives.
    pub(super) fn file(
        &mut self,
        parts: &[&[u8]],
        mode: Option<u32>,
        modified: Option<i64>,
        content: &mut dyn Read,
    ) -> Result<(), Refused> {
        let (dir, name) = self.fresh(parts)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(openat(&dir, name, flags, Mode::from_raw_mode(0o600))?);
        loop {
            let read = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(parts, &error)),
            };
            self.left.bytes(read as u64)?;
            self.disk.admit_blocking(read as u64, 0)?;
            file.write_all(&self.buffer[..read])?;
        }
        self.owner.take(&file)?;
        let mode = mode.filter(|_| !self.plain);
        fchmod(&file, mode.map_or(FILE_MODE, |mode| Mode::from_raw_mode(mode & 0o777)))?;
        if let Some(seconds) = modified {
            let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
            futimens(&file, &Timestamps { last_access: time, last_modification: time })?;
        }
        Ok(())
    }

    /// Reads what is of no use, counted like everything else.
    pub(super) fn skip(&mut self, content: &mut dyn Read) -> Result<(), Refused> {
        loop {
            match content.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => self.left.bytes(read as u64)?,
                Err(error) => return Err(broken(&[], &error)),
            }
        }
    }

    /// Makes a symbolic link that stays inside.
    pub(super) fn link(&mut self, parts: &[&[u8]], target: &[u8]) -> Result<(), Refused> {
        self.refuse_link(parts)?;
        if !stays_inside(parts, target) {
            return Err(entry(
                &parts.join(&b'/'),
                "is a link that may lead out of the destination",
            ));
        }
        let (dir, name) = self.fresh(parts)?;
        symlinkat(OsStr::from_bytes(target), &dir, name)?;
        self.owner.take_link(&dir, name)?;
        Ok(())
    }

    fn refuse_link(&self, parts: &[&[u8]]) -> Result<(), Refused> {
        match self.plain {
            true => Err(entry(&parts.join(&b'/'), "is neither a file nor a folder")),
            false => Ok(()),
        }
    }

    /// Gives a file that is there already another name.
    pub(super) fn hard_link(&mut self, parts: &[&[u8]], target: &[&[u8]]) -> Result<(), Refused> {
        self.refuse_link(parts)?;
        let missing =
            || entry(&parts.join(&b'/'), "is a hard link to what is no earlier file of it");
        let Some((last, above)) = target.split_last() else { return Err(missing()) };
        if !self.seen.contains(&target.join(&b'/')) {
            return Err(missing());
        }
        let (dir, name) = self.fresh(parts)?;
        let from = self.enter(above)?;
        let last = OsStr::from_bytes(last);
        let stat = statat(&from, last, AtFlags::SYMLINK_NOFOLLOW)?;
        if kind(&stat) != FileType::RegularFile {
            return Err(missing());
        }
        linkat(&from, last, &dir, name, AtFlags::empty())?;
        Ok(())
    }

    /// The folder of a name nothing has yet, and the name.
    fn fresh<'a>(&mut self, parts: &[&'a [u8]]) -> Result<(OwnedFd, &'a OsStr), Refused> {
        let joined = parts.join(&b'/');
        let Some((name, above)) = parts.split_last() else {
            return Err(entry(&joined, "has no name"));
        };
        let dir = self.enter(above)?;
        let name = OsStr::from_bytes(name);
        match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => {}
            Ok(_) => return Err(entry(&joined, "is there twice")),
            Err(errno) => return Err(errno.into()),
        }
        self.seen.insert(joined);
        Ok((dir, name))
    }

    /// Opens a folder inside, making what is missing.
    fn enter(&mut self, parts: &[&[u8]]) -> Result<OwnedFd, Refused> {
        if parts.is_empty() {
            return Ok(self.root.try_clone()?);
        }
        let path = parts.join(&b'/');
        let refused = |errno| match errno {
            Errno::LOOP | Errno::NOTDIR => {
                entry(&path, "goes through something that is no folder of it")
            }
            errno => Refused::from(errno),
        };
        match open_plain(&self.root, OsStr::from_bytes(&path), FOLDER) {
            Err(Errno::NOENT) => {}
            other => return other.map_err(refused),
        }
        let mut dir = self.root.try_clone()?;
        for part in parts {
            let part = OsStr::from_bytes(part);
            dir = match open_plain(&dir, part, FOLDER) {
                Err(Errno::NOENT) => {
                    self.count()?;
                    folders::make(&dir, part, FOLDER_MODE, self.owner)?;
                    open_plain(&dir, part, FOLDER)?
                }
                other => other.map_err(refused)?,
            };
        }
        Ok(dir)
    }

    /// Moves everything into the destination. Files that are there are replaced, folders are filled.
    /// What cannot be is found out before anything is moved.
    pub(crate) fn merge(self) -> Result<(), Refused> {
        self.meet(|_, _, _| Ok(()))?;
        self.meet(|walk, dest, met| {
            if matches!(met, Met::Nothing | Met::Leaf) {
                renameat(walk.dir(), walk.name(), dest, walk.name())?;
            }
            Ok(())
        })
    }

    /// Goes through what is staged beside what is in the destination. Folders that meet nothing are
    /// not gone into.
    fn meet(
        &self,
        mut act: impl FnMut(&Walk, &OwnedFd, Met) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut walk = Walk::new(self.root.try_clone()?)?;
        let mut dests = vec![self.dest.try_clone()?];
        while let Some(step) = walk.next()? {
            dests.truncate(walk.depth());
            let staged_folder = match step {
                Step::Leave => continue,
                Step::Enter(_) => true,
                Step::Leaf(_) => false,
            };
            let dest = &dests[dests.len() - 1];
            let met = match statat(dest, walk.name(), AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => Met::Nothing,
                Err(errno) => return Err(errno.into()),
                Ok(stat) => match (kind(&stat), staged_folder) {
                    (FileType::Directory, true) => Met::Folder,
                    (FileType::RegularFile | FileType::Symlink, false) => Met::Leaf,
                    (FileType::Symlink, true) => {
                        return Err(entry(
                            walk.path().as_bytes(),
                            "is a folder where the destination has a link, which is not followed",
                        ));
                    }
                    _ => {
                        return Err(entry(
                            walk.path().as_bytes(),
                            "meets something of another kind in the destination",
                        ));
                    }
                },
            };
            let next = match met {
                Met::Folder => Some(open_plain(dest, walk.name(), FOLDER)?),
                _ => None,
            };
            act(&walk, dest, met)?;
            match next {
                Some(next) => dests.push(next),
                None => walk.skip(),
            }
        }
        Ok(())
    }
}

/// What a staged name meets in the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Nothing,
    Leaf,
    Folder,
}

/// What reading an entry failed with: the archive is broken, unless the disk was.
fn broken(parts: &[&[u8]], error: &std::io::Error) -> Refused {
    match Errno::from_io_error(error) {
        Some(errno) => errno.into(),
        None => {
            let why = error.to_string();
            entry(&parts.join(&b'/'), &format!("cannot be unpacked: {why}"))
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let emptied = open_plain(&self.dest, &self.name, FOLDER)
            .and_then(delete::empty)
            .and_then(|()| unlinkat(&self.dest, self.name.as_os_str(), AtFlags::REMOVEDIR));
        if let Err(error) = emptied {
            tracing::warn!(%error, "the staging directory of an unpacked archive could not be removed; it goes with the session");
        }
    }
}
