//! What the kernel says about folders, as events.
//!
//! inotify watches folders, not trees. A folder that appears is watched first and then read: what was
//! made in it before the watch stood is found by reading, what was made after is announced, and what
//! is both is reported once.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use browserd_api::fs::{FileEvent, FileEventKind};
use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, CWD, FileType, OFlags, fstat, statat};
use rustix::io::Errno;

use super::super::atomic_write::is_pending;
use super::super::place::{is_kernels, kind, open, open_plain, through};
use super::super::walk;
use super::ring::Ring;
use crate::inotify::Alarm;

/// Most folders of one watch.
pub(super) const FOLDERS: usize = 8192;

/// What is asked of the kernel, for every folder.
const ASKED: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR)
    .union(WatchFlags::DONT_FOLLOW)
    .union(WatchFlags::EXCL_UNLINK);
/// Of the watched folder also.
const ASKED_OF_ROOT: WatchFlags = ASKED.union(WatchFlags::DELETE_SELF).union(WatchFlags::MOVE_SELF);

/// An event of the kernel's, owned.
struct Said {
    folder: i32,
    flags: ReadFlags,
    cookie: u32,
    name: OsString,
}

/// A folder, and those below it where asked for.
pub(super) struct Tree {
    kernel: OwnedFd,
    /// Device and number of the watched folder. It is not kept open: the kernel tells of its end
    /// only once nothing refers to it.
    root: (u64, u64),
    recursive: bool,
    /// Paths below the root of watched folders, by the kernel's numbers.
    folders: HashMap<i32, Vec<u8>>,
    /// Names that were found by reading and may be announced still.
    found: HashSet<(i32, OsString)>,
    /// Those of them that were found before the kernel was last asked.
    found_before: HashSet<(i32, OsString)>,
    ring: Arc<Ring>,
}

impl Tree {
    /// Watches `root`.
    pub(super) fn new(root: OwnedFd, recursive: bool, ring: Arc<Ring>) -> rustix::io::Result<Self> {
        let kernel = crate::inotify::instance()?;
        let stat = fstat(&root)?;
        let number =
            inotify::add_watch(&kernel, through(&root), ASKED_OF_ROOT - WatchFlags::DONT_FOLLOW)?;
        let mut tree = Self {
            kernel,
            root: (stat.st_dev, stat.st_ino),
            recursive,
            folders: HashMap::from([(number, Vec::new())]),
            found: HashSet::new(),
            found_before: HashSet::new(),
            ring,
        };
        drop(root);
        if recursive {
            tree.read(number, Vec::new(), false)?;
            // Nothing was announced to anybody yet.
            tree.found.clear();
        }
        Ok(tree)
    }

    /// Opens a folder below the watched one, or that itself.
    fn open(&self, path: &[u8], flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let root = open(CWD, OsStr::new(self.ring.root()), OFlags::PATH | OFlags::DIRECTORY)?;
        let stat = fstat(&root)?;
        // Another folder may have its path by now.
        if (stat.st_dev, stat.st_ino) != self.root {
            return Err(Errno::NOENT);
        }
        let path = if path.is_empty() { b"." } else { path };
        open_plain(&root, OsStr::from_bytes(path), flags | OFlags::DIRECTORY)
    }

    /// Turns what the kernel says into events until the root is gone.
    pub(super) fn run(self) -> std::io::Result<impl Future<Output = ()> + Send> {
        let alarm = Alarm::new(&self.kernel)?;
        Ok(async move {
            let mut tree = self;
            loop {
                if alarm.rings().await.is_err() {
                    return;
                }
                // Reading folders may take its time.
                let turn = tokio::task::spawn_blocking(move || {
                    let goes_on = tree.turn();
                    (tree, goes_on)
                });
                match turn.await {
                    Ok((back, true)) => {
                        tree = back;
                        alarm.reset();
                    }
                    Ok((back, false)) => {
                        back.ring.close();
                        return;
                    }
                    Err(_) => return,
                }
            }
        })
    }

    /// Takes everything the kernel has; whether there is anything left to watch.
    fn turn(&mut self) -> bool {
        loop {
            self.found_before.extend(self.found.drain());
            let (said, more) = match self.hear() {
                Ok(heard) => heard,
                Err(errno) => {
                    tracing::warn!(%errno, "a client's folder watch cannot be read and is closed");
                    return false;
                }
            };
            // Two files that change names are four announcements; the halves with our temporary name tell which.
            let swapped: HashSet<u32> = said
                .iter()
                .filter(|said| said.flags.contains(ReadFlags::MOVED_TO) && is_pending(&said.name))
                .map(|said| said.cookie)
                .collect();
            let placed: HashSet<u32> = said
                .iter()
                .filter(|said| said.flags.contains(ReadFlags::MOVED_FROM) && is_pending(&said.name))
                .map(|said| said.cookie)
                .collect();
            for said in said {
                let hidden = is_pending(&said.name)
                    || (said.flags.contains(ReadFlags::MOVED_FROM)
                        && swapped.contains(&said.cookie));
                if !hidden && !self.take(&said, placed.contains(&said.cookie)) {
                    return false;
                }
            }
            if more {
                continue;
            }
            // What was announced of what had been found before is through.
            self.found_before.clear();
            if self.found.is_empty() {
                return true;
            }
        }
    }

    /// One buffer of announcements, and whether there may be more.
    fn hear(&self) -> rustix::io::Result<(Vec<Said>, bool)> {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(&self.kernel, &mut buffer);
        let mut heard = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => heard.push(Said {
                    folder: event.wd(),
                    flags: event.events(),
                    cookie: event.cookie(),
                    name: event.file_name().map_or_else(OsString::new, |name| {
                        OsString::from_vec(name.to_bytes().to_vec())
                    }),
                }),
                Err(Errno::AGAIN) => return Ok((heard, false)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            // Kept to what is there, so that a busy folder does not hold the rest up.
            if heard.len() >= 1024 && reader.is_buffer_empty() {
                return Ok((heard, true));
            }
        }
    }

    /// Reports one announcement; `false` when the root is gone.
    fn take(&mut self, said: &Said, placed: bool) -> bool {
        if said.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.ring.push(&overflow(self.ring.root()));
            if self.recursive {
                self.again();
            }
            return true;
        }
        let Some(folder) = self.folders.get(&said.folder) else { return true };
        if said.flags.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT)
            && folder.is_empty()
        {
            let root = self.ring.root().to_owned();
            let name = root.rsplit('/').next().unwrap_or_default().to_owned();
            let event = FileEvent {
                kind: FileEventKind::Delete,
                path: root,
                name,
                is_dir: true,
                overflow: false,
            };
            self.ring.push(&event);
            return false;
        }
        if said.flags.contains(ReadFlags::IGNORED) {
            self.folders.remove(&said.folder);
            return true;
        }
        let path = below(folder, &said.name);
        let is_dir = said.flags.contains(ReadFlags::ISDIR);
        let appeared = said.flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
        if appeared {
            let key = (said.folder, said.name.clone());
            if self.found.remove(&key) || self.found_before.remove(&key) {
                return true;
            }
            self.report(FileEventKind::Create, &path, is_dir);
            if placed && !is_dir {
                self.report(FileEventKind::Write, &path, false);
            }
            if is_dir && self.recursive {
                self.add(path);
            }
        } else if said.flags.contains(ReadFlags::MODIFY) {
            self.report(FileEventKind::Write, &path, is_dir);
        } else if said.flags.contains(ReadFlags::DELETE) {
            self.report(FileEventKind::Delete, &path, is_dir);
        } else if said.flags.contains(ReadFlags::MOVED_FROM) {
            self.report(FileEventKind::Rename, &path, is_dir);
            if is_dir && self.recursive {
                self.forget(&path);
            }
        }
        true
    }

    /// Watches a folder that has appeared, and reports what is in it already.
    fn add(&mut self, path: Vec<u8>) {
        match self.watch(&path) {
            Ok(Some(number)) => {
                if let Err(errno) = self.read(number, path, true) {
                    self.blind(errno);
                }
            }
            Ok(None) => {}
            Err(errno) => self.blind(errno),
        }
    }

    /// Something is not watched that should be.
    fn blind(&self, errno: Errno) {
        tracing::debug!(%errno, "a folder cannot be watched");
        self.ring.push(&overflow(self.ring.root()));
    }

    /// Asks the kernel about one more folder; `None` when it is gone, known, or not to be watched.
    fn watch(&mut self, path: &[u8]) -> rustix::io::Result<Option<i32>> {
        let dir = match self.open(path, OFlags::PATH) {
            Ok(dir) => dir,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        if is_kernels(&dir)? {
            return Ok(None);
        }
        if self.folders.len() >= FOLDERS {
            return Err(Errno::NOSPC);
        }
        let number =
            inotify::add_watch(&self.kernel, through(&dir), ASKED - WatchFlags::DONT_FOLLOW)?;
        let before = self.folders.insert(number, path.to_vec());
        Ok(before.is_none().then_some(number))
    }

    /// Goes through a watched folder and watches those below it; reports what it finds if asked to.
    fn read(&mut self, number: i32, path: Vec<u8>, report: bool) -> rustix::io::Result<()> {
        let mut waiting = vec![(number, path)];
        while let Some((number, path)) = waiting.pop() {
            let dir = match self.open(&path, OFlags::RDONLY) {
                Ok(dir) => dir,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS) => continue,
                Err(errno) => return Err(errno),
            };
            for name in walk::names(&dir)?.into_iter().rev() {
                if is_pending(&name) {
                    continue;
                }
                let Ok(stat) = statat(&dir, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW) else {
                    continue;
                };
                let is_dir = kind(&stat) == FileType::Directory;
                let below = below(&path, &name);
                if report {
                    self.report(FileEventKind::Create, &below, is_dir);
                    self.found.insert((number, name));
                }
                if is_dir && let Some(number) = self.watch(&below)? {
                    waiting.push((number, below));
                }
            }
        }
        Ok(())
    }

    /// Looks for folders that were not announced.
    fn again(&mut self) {
        let all: Vec<(i32, Vec<u8>)> =
            self.folders.iter().map(|(number, path)| (*number, path.clone())).collect();
        for (number, path) in all {
            if let Err(errno) = self.read(number, path, false) {
                self.blind(errno);
                return;
            }
        }
    }

    /// Stops watching a folder that was moved away, and those below it.
    fn forget(&mut self, path: &[u8]) {
        let gone: Vec<i32> = self
            .folders
            .iter()
            .filter(|(_, known)| {
                known.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            })
            .map(|(number, _)| *number)
            .collect();
        for number in gone {
            self.folders.remove(&number);
            // It may have gone by itself.
            let _ = inotify::remove_watch(&self.kernel, number);
        }
    }

    fn report(&self, kind: FileEventKind, path: &[u8], is_dir: bool) {
        let root = self.ring.root().trim_end_matches('/');
        let path = String::from_utf8_lossy(path);
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let path = format!("{root}/{path}");
        self.ring.push(&FileEvent { kind, path, name, is_dir, overflow: false });
    }
}

/// Says that events were lost.
pub(super) fn overflow(root: &str) -> FileEvent {
    FileEvent {
        kind: FileEventKind::Write,
        path: root.to_owned(),
        name: root.rsplit('/').next().unwrap_or_default().to_owned(),
        is_dir: true,
        overflow: true,
    }
}

fn below(folder: &[u8], name: &OsStr) -> Vec<u8> {
    let mut path = folder.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name.as_bytes());
    path
}
