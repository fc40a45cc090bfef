//! Going through a tree of folders, by descriptors, without following a link.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat, statat};
use rustix::io::Errno;

use super::place;

/// Deepest nesting; each level holds a folder open.
pub(crate) const DEPTH: usize = 512;

/// What is met on the way.
#[derive(Debug)]
pub(crate) enum Step {
    /// A folder, before what is in it.
    Enter(Stat),
    /// Anything else.
    Leaf(Stat),
    /// A folder, after what is in it.
    Leave,
}

struct Level {
    dir: OwnedFd,
    /// Names still to come, the next one last.
    names: Vec<OsString>,
    /// Path of the folder below the start; empty for the start itself.
    path: Vec<u8>,
}

/// A walk below a folder; the folder itself is not part of it.
pub(crate) struct Walk {
    levels: Vec<Level>,
    /// The folder that was met last and is to be gone into.
    into: bool,
    /// Path and name of what was met last.
    path: Vec<u8>,
    name: OsString,
}

impl Walk {
    /// Starts in an open folder.
    pub(crate) fn new(dir: OwnedFd) -> rustix::io::Result<Self> {
        let names = names(&dir)?;
        let start = Level { dir, names, path: Vec::new() };
        Ok(Self { levels: vec![start], into: false, path: Vec::new(), name: OsString::new() })
    }

    /// The path of what was met last, below the start.
    pub(crate) fn path(&self) -> &OsStr {
        OsStr::from_bytes(&self.path)
    }

    /// How deep what was met last is, 1 in the start itself.
    pub(crate) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// The folder that what was met last is in.
    pub(crate) fn dir(&self) -> &OwnedFd {
        // The first level stays until the end.
        &self.levels[self.levels.len() - 1].dir
    }

    /// Its name there.
    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// Does not go into the folder met last.
    pub(crate) fn skip(&mut self) {
        self.into = false;
    }

    /// The next thing, in the order of names; what vanishes on the way is left out. After a folder
    /// that was [skipped](Self::skip), or has vanished, there is no `Leave`.
    pub(crate) fn next(&mut self) -> rustix::io::Result<Option<Step>> {
        if std::mem::take(&mut self.into) {
            if self.levels.len() >= DEPTH {
                return Err(Errno::NAMETOOLONG);
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            match place::open_plain(self.dir(), &self.name, flags) {
                Ok(dir) => {
                    let names = names(&dir)?;
                    let path = self.path.clone();
                    self.levels.push(Level { dir, names, path });
                }
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => return Err(errno),
            }
        }
        loop {
            let depth = self.levels.len();
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some(name) = level.names.pop() else {
                if depth == 1 {
                    return Ok(None);
                }
                self.path = std::mem::take(&mut level.path);
                self.levels.pop();
                let at = self.path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
                self.name = OsString::from_vec(self.path[at..].to_vec());
                return Ok(Some(Step::Leave));
            };
            let stat = match statat(&level.dir, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            };
            self.path.clear();
            self.path.extend_from_slice(&level.path);
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.as_bytes());
            self.name = name;
            self.into = place::kind(&stat) == FileType::Directory;
            return Ok(Some(if self.into { Step::Enter(stat) } else { Step::Leaf(stat) }));
        }
    }
}

/// The names in an open folder, in reverse order.
pub(crate) fn names(dir: impl AsFd) -> rustix::io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}
