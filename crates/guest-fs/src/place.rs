//! Opening what a client named.
//!
//! The guest is root inside its own mount namespace, so no path leads out of the session. What must
//! not be reachable is the guest itself: its descriptors, memory and environment, which /proc shows
//! to it as it does to every process. So no magic link is followed (`RESOLVE_NO_MAGICLINKS`), and
//! nothing in /proc or /sys is served at all. Everything is then done through descriptors, so that a
//! name that is exchanged meanwhile changes nothing.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use browserd_rest::Result;
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, Stat, fstat, fstatfs,
    openat2, readlinkat, statat,
};
use rustix::io::Errno;

use super::path::Given;

/// How often the last part of a path may be a link.
const LINKS: usize = 40;
/// sysfs, as `statfs` names it.
const SYSFS_MAGIC: rustix::fs::FsWord = 0x6265_6572;

/// A name in an open folder; whether anything has the name is open.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: OwnedFd,
    pub(crate) name: OsString,
}

/// Opens `path` below `dir` as the kernel would, but through no magic link.
pub(crate) fn open(dir: impl AsFd, path: &OsStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    openat2(dir, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
}

/// As [`open`], through no link at all.
pub fn open_plain(dir: impl AsFd, path: &OsStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH;
    openat2(dir, path, flags, Mode::empty(), resolve)
}

/// Whether `fd` is in a file system that shows the kernel's inside.
pub(crate) fn is_kernels(fd: impl AsFd) -> rustix::io::Result<bool> {
    let kind = fstatfs(fd)?.f_type;
    Ok(kind == PROC_SUPER_MAGIC || kind == SYSFS_MAGIC)
}

fn refuse_kernels(fd: impl AsFd, given: &Given) -> Result<()> {
    if is_kernels(fd).map_err(|errno| given.refuse(errno))? {
        return Err(given.wrong(
            "is in /proc or /sys, which would show the session's own service; read it with a process",
        ));
    }
    Ok(())
}

/// What `given` names, links followed, for looking only (`O_PATH`).
pub(crate) fn look(given: &Given) -> Result<(OwnedFd, Stat)> {
    let fd =
        open(CWD, OsStr::new(given.as_str()), OFlags::PATH).map_err(|errno| given.refuse(errno))?;
    refuse_kernels(&fd, given)?;
    let stat = fstat(&fd).map_err(|errno| given.refuse(errno))?;
    Ok((fd, stat))
}

/// The folder `given` names, open for reading.
pub(crate) fn folder(given: &Given) -> Result<OwnedFd> {
    let (fd, stat) = look(given)?;
    if kind(&stat) != FileType::Directory {
        return Err(given.wrong("is not a folder"));
    }
    open(&fd, OsStr::new("."), OFlags::RDONLY | OFlags::DIRECTORY)
        .map_err(|errno| given.refuse(errno))
}

/// The regular file `given` names, open for reading. Nothing else is ever opened: a pipe would
/// notice, a device might act.
pub(crate) fn file(given: &Given) -> Result<(OwnedFd, Stat)> {
    let (fd, stat) = look(given)?;
    regular(given, &stat)?;
    drop(fd);
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let fd = open(CWD, OsStr::new(given.as_str()), flags).map_err(|errno| given.refuse(errno))?;
    // It may be another file by now.
    refuse_kernels(&fd, given)?;
    let stat = fstat(&fd).map_err(|errno| given.refuse(errno))?;
    regular(given, &stat)?;
    Ok((fd, stat))
}

/// Refuses everything but a regular file, in words.
pub(crate) fn regular(given: &Given, stat: &Stat) -> Result<()> {
    match kind(stat) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => {
            Err(given.wrong("is a folder; list_files and download_dir_zip read folders"))
        }
        _ => Err(given.wrong("is not a regular file but a pipe, socket or device")),
    }
}

pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

impl Place {
    /// The name `given` ends with, in its folder, which must exist. A link with that name is the
    /// place, not what it points to.
    pub(crate) fn of(given: &Given) -> Result<Self> {
        let (parent, name) = split(given)?;
        let dir = open(CWD, parent, OFlags::PATH | OFlags::DIRECTORY)
            .map_err(|errno| given.refuse(errno))?;
        refuse_kernels(&dir, given)?;
        Ok(Self { dir, name: name.to_owned() })
    }

    /// Where a file named `given` is to be written: links at the end are followed to where they
    /// point. `enter` opens a folder, making it where it may.
    pub(crate) fn to_write(
        given: &Given,
        mut enter: impl FnMut(&OwnedFd, &OsStr) -> rustix::io::Result<OwnedFd>,
    ) -> Result<Self> {
        let refused = |errno| given.refuse(errno);
        let root = open(CWD, OsStr::new("/"), OFlags::PATH | OFlags::DIRECTORY).map_err(refused)?;
        let (parent, name) = split(given)?;
        let mut place = Self { dir: enter(&root, parent).map_err(refused)?, name: name.to_owned() };
        for _ in 0..LINKS {
            refuse_kernels(&place.dir, given)?;
            let target = match readlinkat(&place.dir, place.name.as_os_str(), Vec::new()) {
                Ok(target) => OsString::from_vec(target.into_bytes()),
                // No link (EINVAL), or nothing there.
                Err(Errno::INVAL | Errno::NOENT) => return Ok(place),
                Err(errno) => return Err(refused(errno)),
            };
            let bytes = target.as_bytes();
            let (parent, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
                Some(at) => (&bytes[..=at], &bytes[at + 1..]),
                None => (&b"."[..], bytes),
            };
            if matches!(name, b"" | b"." | b"..") {
                return Err(given.wrong("is a link to a folder"));
            }
            let from = if parent.starts_with(b"/") { &root } else { &place.dir };
            let dir = enter(from, OsStr::from_bytes(parent)).map_err(refused)?;
            place = Self { dir, name: OsStr::from_bytes(name).to_owned() };
        }
        Err(refused(Errno::LOOP))
    }

    /// What has the name now, links not followed.
    pub(crate) fn stat(&self) -> rustix::io::Result<Stat> {
        statat(&self.dir, self.name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The path as the kernel has it, without links.
    pub(crate) fn real(&self) -> rustix::io::Result<PathBuf> {
        Ok(real(&self.dir)?.join(&self.name))
    }
}

/// The path of an open folder as the kernel has it.
pub(crate) fn real(dir: impl AsFd) -> rustix::io::Result<PathBuf> {
    let link = readlinkat(CWD, through(dir), Vec::new())?;
    Ok(OsString::from_vec(link.into_bytes()).into())
}

/// A path by which calls that take only paths reach an open file.
pub(crate) fn through(fd: impl AsFd) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

/// Folder and name of a path that names something in a folder.
pub(super) fn split(given: &Given) -> Result<(&OsStr, &OsStr)> {
    let text = given.as_str();
    let trimmed = text.trim_end_matches('/');
    let at = trimmed.rfind('/').unwrap_or(0);
    let name = trimmed.get(at + 1..).unwrap_or_default();
    if matches!(name, "" | "." | "..") {
        return Err(given.wrong("does not end with a name"));
    }
    Ok((OsStr::new(&text[..=at]), OsStr::new(name)))
}
