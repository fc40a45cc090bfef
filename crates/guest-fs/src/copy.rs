//! Copying a tree, for moves from one file system to another.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use browserd_guest_session::disk::{Disk, ENTRY};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, chownat, fchmod, fchown,
    futimens, mkdirat, openat, readlinkat, symlinkat,
};
use rustix::io::Errno;

use super::place;
use super::walk::{Step, Walk};

/// Bytes copied at one time.
const BUFFER: usize = 256 << 10;

/// Copies what `name` in `from` is to `new` in `to`, folders with all that is in them. Permissions,
/// owners, times and links are kept. Pipes, sockets and devices are refused (`EOPNOTSUPP`).
pub(super) fn tree(
    from: &OwnedFd,
    name: &OsStr,
    stat: &Stat,
    to: &OwnedFd,
    new: &OsStr,
    disk: &Disk,
) -> rustix::io::Result<()> {
    if place::kind(stat) != FileType::Directory {
        return leaf(from, name, stat, to, new, disk);
    }
    room(disk, ENTRY, 1)?;
    mkdirat(to, new, Mode::from_raw_mode(0o700))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let root = place::open_plain(to, new, flags)?;
    let mut walk = Walk::new(place::open_plain(from, name, flags)?)?;
    // Folders being copied, with what they are to look like once everything is in them.
    let mut into: Vec<(OwnedFd, Stat)> = vec![(root, *stat)];
    while let Some(step) = walk.next()? {
        // A folder that vanished was entered and is never left.
        into.truncate(walk.depth() + usize::from(matches!(step, Step::Leave)));
        let (there, _) = &into[into.len() - 1];
        match step {
            Step::Leaf(stat) => leaf(walk.dir(), walk.name(), &stat, there, walk.name(), disk)?,
            Step::Enter(stat) => {
                room(disk, ENTRY, 1)?;
                mkdirat(there, walk.name(), Mode::from_raw_mode(0o700))?;
                into.push((place::open_plain(there, walk.name(), flags)?, stat));
            }
            Step::Leave => {
                if let Some((done, stat)) = into.pop() {
                    dress(&done, &stat)?;
                }
            }
        }
    }
    into.drain(..).rev().try_for_each(|(done, stat)| dress(&done, &stat))
}

fn leaf(
    from: &OwnedFd,
    name: &OsStr,
    stat: &Stat,
    to: &OwnedFd,
    new: &OsStr,
    disk: &Disk,
) -> rustix::io::Result<()> {
    room(disk, 0, 1)?;
    match place::kind(stat) {
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
            let mut source = File::from(place::open_plain(from, name, flags)?);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mut copy = File::from(openat(to, new, flags, Mode::from_raw_mode(0o600))?);
            content(&mut source, &mut copy, disk)?;
            dress(&copy, stat)
        }
        FileType::Symlink => {
            let target: CString = readlinkat(from, name, Vec::new())?;
            symlinkat(target, to, new)?;
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            chownat(to, new, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        }
        _ => Err(Errno::OPNOTSUPP),
    }
}

/// Copies what is in a file.
fn content(source: &mut File, copy: &mut File, disk: &Disk) -> rustix::io::Result<()> {
    let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut buffer = vec![0; BUFFER];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                room(disk, read as u64, 0)?;
                copy.write_all(&buffer[..read]).map_err(errno)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(errno(error)),
        }
    }
}

/// `EDQUOT` when the session's disk has no room for so much more.
fn room(disk: &Disk, bytes: u64, files: u64) -> rustix::io::Result<()> {
    disk.admit_blocking(bytes, files).map_err(|_| Errno::DQUOT)
}

/// Gives a copy the owner, permissions and time of the original.
#[expect(clippy::unnecessary_cast, reason = "the fields differ between architectures")]
fn dress(copy: impl AsFd, stat: &Stat) -> rustix::io::Result<()> {
    let copy = copy.as_fd();
    fchown(copy, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(copy, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let modified = Timespec { tv_sec: stat.st_mtime as i64, tv_nsec: stat.st_mtime_nsec as _ };
    futimens(copy, &Timestamps { last_access: modified, last_modification: modified })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_copied_whole() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("a");
        std::fs::create_dir_all(source.join("x/y/z")).unwrap();
        std::fs::create_dir_all(source.join("w")).unwrap();
        std::fs::write(source.join("x/y/file"), "content").unwrap();
        std::fs::write(source.join("last"), "z").unwrap();
        std::os::unix::fs::symlink("../nowhere", source.join("x/link")).unwrap();
        let top: OwnedFd = File::open(dir.path()).unwrap().into();
        let place =
            |name: &'static str| rustix::fs::statat(&top, name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        tree(&top, OsStr::new("a"), &place("a"), &top, OsStr::new("b"), &Disk::unlimited())
            .unwrap();
        let copy = dir.path().join("b");
        assert_eq!(std::fs::read_to_string(copy.join("x/y/file")).unwrap(), "content");
        assert_eq!(std::fs::read_to_string(copy.join("last")).unwrap(), "z");
        assert!(copy.join("x/y/z").is_dir() && copy.join("w").is_dir());
        assert_eq!(std::fs::read_link(copy.join("x/link")).unwrap().to_str(), Some("../nowhere"));
        assert_eq!(place("a").st_mtime, place("b").st_mtime);
        assert_eq!(place("b").st_mode & 0o777, place("a").st_mode & 0o777);
    }
}
