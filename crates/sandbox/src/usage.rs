//! What a session has on the host's disk, as seen from outside its walls.
//!
//! Owns the counting of folders the session fills and of files its processes hold open without a
//! name. What it cannot see is named in decision 27. The tree is hostile: it changes while it is
//! walked, and nothing in it is followed.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;

/// Folders within folders that are gone into. Each takes a descriptor; programs stay far below.
const DEPTH: usize = 512;
/// What `st_blocks` counts in.
const BLOCK: u64 = 512;

/// What a session has on the disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of blocks: a hole takes none, a file with two names takes its once.
    pub bytes: u64,
    /// Names, of files, folders and all else; all there can be when folders lie too deep to be
    /// counted.
    pub files: u64,
}

impl Usage {
    /// What it is more than `other`.
    #[must_use]
    pub fn beyond(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            files: self.files.saturating_sub(other.files),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            files: self.files.saturating_add(other.files),
        }
    }
}

/// Where a count ends: it is decided by then.
#[derive(Debug, Clone, Copy)]
pub struct Enough {
    /// More bytes than this are not counted on.
    pub bytes: u64,
    /// More names than this are not counted on.
    pub files: u64,
}

struct Count {
    usage: Usage,
    enough: Enough,
    /// Files that have more than one name, or none.
    seen: HashSet<(u64, u64)>,
}

impl Count {
    fn is_enough(&self) -> bool {
        self.usage.bytes > self.enough.bytes || self.usage.files > self.enough.files
    }

    #[expect(clippy::unnecessary_cast, reason = "the fields differ between architectures")]
    fn add(&mut self, stat: &Stat) {
        // All there can be stays that.
        self.usage.files = self.usage.files.saturating_add(1);
        let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let known = stat.st_nlink as u64 == 1;
        if known || folder || self.seen.insert((stat.st_dev as u64, stat.st_ino as u64)) {
            self.usage.bytes += (stat.st_blocks as u64).saturating_mul(BLOCK);
        }
    }
}

/// Counts what is in `folders`, and what the descendants of `init` hold open though it has no name.
/// Folders that are not there hold nothing.
pub fn measure(folders: &[&Path], init: Option<i32>, enough: Enough) -> io::Result<Usage> {
    let mut count = Count { usage: Usage::default(), enough, seen: HashSet::new() };
    for folder in folders {
        match open_folder(CWD, &text(folder)) {
            Ok(fd) => walk(fd, &mut count)?,
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    if let Some(init) = init
        && !count.is_enough()
    {
        // A process that goes meanwhile holds nothing any more.
        let _ = nameless(init, &mut count);
    }
    Ok(count.usage)
}

fn text(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).unwrap_or_default()
}

fn walk(top: OwnedFd, count: &mut Count) -> io::Result<()> {
    let mut open = vec![Dir::new(top)?];
    while let Some(dir) = open.last_mut() {
        let Some(entry) = dir.next() else {
            open.pop();
            continue;
        };
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let dir = dir.fd()?;
        let Ok(stat) = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        count.add(&stat);
        if count.is_enough() {
            return Ok(());
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            continue;
        }
        match open_folder(dir, name) {
            Ok(fd) if open.len() < DEPTH => open.push(Dir::new(fd)?),
            // What lies deeper than this lies there to be out of sight.
            Ok(_) | Err(Errno::MFILE) => {
                count.usage.files = u64::MAX;
                return Ok(());
            }
            // Gone, or something else by now.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Opens a folder itself. As an ordinary user one that is closed to its owner, who we are, is opened
/// up: what is in it counts too.
fn open_folder(dir: impl AsFd, name: &std::ffi::CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&dir, name, flags | OFlags::RDONLY, Mode::empty()) {
        Err(Errno::ACCESS) => {}
        other => return other,
    }
    let closed = openat(&dir, name, flags | OFlags::PATH, Mode::empty())?;
    let path = format!("/proc/self/fd/{}", closed.as_raw_fd());
    let mode = rustix::fs::fstat(&closed)?.st_mode & 0o7777;
    rustix::fs::chmod(&path, Mode::from_raw_mode(mode | 0o500))?;
    openat(CWD, &path, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY, Mode::empty())
}

/// Counts the open files without a name of `init` and all its descendants.
fn nameless(init: i32, count: &mut Count) -> io::Result<()> {
    // Memory, and not the disk: memfds and shared memory, which is limited as memory.
    let memfd = rustix::fs::memfd_create("browserd", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut memory = vec![rustix::fs::fstat(&memfd)?.st_dev];
    for tmpfs in ["dev", "dev/shm"] {
        let path = format!("/proc/{init}/root/{tmpfs}");
        memory.extend(rustix::fs::stat(&path).map(|stat| stat.st_dev).ok());
    }
    let mut processes = vec![init];
    while let Some(pid) = processes.pop() {
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            processes.extend(
                children.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()),
            );
        }
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let Ok(stat) = rustix::fs::stat(entry.path()) else { continue };
            let file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            if file && stat.st_nlink == 0 && !memory.contains(&stat.st_dev) {
                count.add(&stat);
                if count.is_enough() {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ALL: Enough = Enough { bytes: u64::MAX, files: u64::MAX };
    const MIB: usize = 1 << 20;

    fn of(folder: &Path) -> Usage {
        measure(&[folder], None, ALL).unwrap()
    }

    #[test]
    fn blocks_count_once_and_holes_not_at_all() {
        let dir = tempfile::tempdir_in(".").unwrap();
        let path = dir.path();
        assert_eq!(of(path).files, 0);
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/b/full"), vec![1; MIB]).unwrap();
        let one = of(path);
        assert!((MIB as u64..MIB as u64 + 65536).contains(&one.bytes), "{one:?}");
        assert_eq!(one.files, 3);
        File::create(path.join("hole")).unwrap().set_len(1 << 40).unwrap();
        fs::hard_link(path.join("a/b/full"), path.join("again")).unwrap();
        std::os::unix::fs::symlink("/", path.join("out")).unwrap();
        let all = of(path);
        assert!(all.bytes < one.bytes + 65536, "{all:?}");
        assert_eq!(all.files, 6);
        fs::remove_file(path.join("again")).unwrap();
        fs::remove_file(path.join("a/b/full")).unwrap();
        assert!(of(path).bytes < 65536);
    }

    #[test]
    fn a_folder_closed_to_its_owner_hides_nothing() {
        let dir = tempfile::tempdir_in(".").unwrap();
        let closed = dir.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("full"), vec![1; MIB]).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        let usage = of(dir.path());
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(usage.bytes >= MIB as u64, "{usage:?}");
    }

    #[test]
    fn a_count_ends_when_it_is_decided() {
        let dir = tempfile::tempdir_in(".").unwrap();
        for n in 0..100 {
            fs::write(dir.path().join(format!("{n}")), b"").unwrap();
        }
        let enough = Enough { bytes: u64::MAX, files: 9 };
        assert_eq!(measure(&[dir.path()], None, enough).unwrap().files, 10);
        let mut deep = dir.path().to_owned();
        for _ in 0..=DEPTH {
            deep.push("d");
        }
        fs::create_dir_all(deep).unwrap();
        assert_eq!(of(dir.path()).files, u64::MAX);
        // Whatever is counted after it.
        let other = tempfile::tempdir_in(".").unwrap();
        fs::write(other.path().join("x"), b"").unwrap();
        let both = measure(&[dir.path(), other.path()], None, ALL).unwrap();
        assert_eq!(both.files, u64::MAX);
    }

    #[test]
    fn open_files_without_a_name_count() {
        let dir = tempfile::tempdir_in(".").unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let counted = || measure(&[dir.path()], Some(pid), ALL).unwrap().bytes;
        let before = counted();
        let mut file = File::create(dir.path().join("x")).unwrap();
        file.write_all(&vec![1; 64 * MIB]).unwrap();
        fs::remove_file(dir.path().join("x")).unwrap();
        assert!(counted() >= before + 60 * MIB as u64);
        drop(file);
        assert!(counted() < before + 60 * MIB as u64);
        let memory = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        File::from(memory).write_all(&vec![1; 64 * MIB]).unwrap();
        assert!(counted() < before + 60 * MIB as u64, "a memfd is memory");
    }
}
