//! Reading a log file, and what is written to it later, wherever it goes.

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};

use browserd_rest::Result;
use rustix::fs::inotify::{self, WatchFlags};
use rustix::fs::{AtFlags, OFlags, statat};
use rustix::io::Errno;

use super::lines::Splitter;
use super::source::Source;
use crate::{Given, Place, open, through};

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// What may happen to a file in its folder.
const ASKED: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::ONLYDIR);

/// Where reading stands.
pub(super) struct Tail {
    place: Place,
    /// The file that was rotated last, still to be read.
    before: Option<File>,
    file: Option<File>,
    at: u64,
    lines: Splitter,
    /// Says when the folder changes; none when the end of the file is the end.
    kernel: Option<OwnedFd>,
    buffer: Box<[u8]>,
}

/// What one step brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something was read; there may be more.
    Read,
    /// Nothing new; the folder will say when there is.
    Idle,
    /// The end.
    End,
}

impl Tail {
    /// Opens a log.
    ///
    /// # Errors
    ///
    /// 404 when it is not there; when it is to be followed, only its folder must be. 400 when it is
    /// no regular file.
    pub(super) fn open(source: &Source, follow: bool, from_start: bool) -> Result<Self> {
        let given = &source.path;
        let place = Place::to_write(given, |from, path| {
            open(from, path, OFlags::PATH | OFlags::DIRECTORY)
        })?;
        let kernel = follow.then(|| watch(&place, given)).transpose()?;
        let file = match crate::file(given) {
            Ok((fd, _)) => Some(File::from(fd)),
            Err(_) if missing(&place) && (follow || source.service) => None,
            Err(error) => return Err(error),
        };
        let size = file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |it| it.len());
        let before = source.before.as_ref().filter(|_| from_start);
        let before = before.and_then(|given| crate::file(given).ok()).map(|(fd, _)| File::from(fd));
        // What is made later is read from its start.
        let at = if from_start || before.is_some() { 0 } else { size };
        let lines = Splitter::default();
        let buffer = vec![0; CHUNK].into();
        Ok(Self { place, before, file, at, lines, kernel, buffer })
    }

    /// What to wait for.
    pub(super) fn kernel(&self) -> Option<&OwnedFd> {
        self.kernel.as_ref()
    }

    /// Reads on; complete lines go to `each`.
    pub(super) fn step(&mut self, mut each: impl FnMut(&[u8])) -> std::io::Result<Step> {
        if let Some(kernel) = &self.kernel {
            drain(kernel)?;
        }
        let set_aside = self.before.is_some();
        let Some(file) = self.before.as_ref().or(self.file.as_ref()) else {
            return self.look(&mut each);
        };
        let read = file.read_at(&mut self.buffer, self.at)?;
        if read > 0 {
            self.at += read as u64;
            self.lines.feed(&self.buffer[..read], each);
            return Ok(Step::Read);
        }
        if set_aside {
            self.lines.end(&mut each);
            self.before = None;
            self.at = 0;
            return Ok(Step::Read);
        }
        self.look(&mut each)
    }

    /// At the end of the file: is it still the file?
    fn look(&mut self, each: &mut impl FnMut(&[u8])) -> std::io::Result<Step> {
        if self.kernel.is_none() {
            self.lines.end(each);
            return Ok(Step::End);
        }
        if let Some(file) = &self.file {
            let stat = file.metadata()?;
            if stat.len() < self.at {
                self.lines.end(each);
                self.at = 0;
                return Ok(Step::Read);
            }
            match statat(&self.place.dir, self.place.name.as_os_str(), AtFlags::empty()) {
                Ok(now) if (now.st_dev, now.st_ino) == (stat.dev(), stat.ino()) => {
                    return Ok(Step::Idle);
                }
                // Gone, and nothing new yet: more may be written to the old one.
                Err(Errno::NOENT) => return Ok(Step::Idle),
                Ok(_) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        match open(&self.place.dir, &self.place.name, flags) {
            Ok(fd)
                if rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode)
                    .is_file() =>
            {
                self.lines.end(each);
                self.file = Some(fd.into());
                self.at = 0;
                Ok(Step::Read)
            }
            // A pipe or a folder now has the name: nothing to read.
            Ok(_) | Err(Errno::NOENT | Errno::NXIO | Errno::LOOP) => Ok(Step::Idle),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn missing(place: &Place) -> bool {
    statat(&place.dir, place.name.as_os_str(), AtFlags::empty())
        .is_err_and(|errno| errno == Errno::NOENT)
}

fn watch(place: &Place, given: &Given) -> Result<OwnedFd> {
    let watched = crate::inotify::instance().and_then(|kernel| {
        inotify::add_watch(&kernel, through(&place.dir), ASKED)?;
        Ok(kernel)
    });
    watched.map_err(|errno| match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOSPC => browserd_rest::Error::new(
            browserd_api::ErrorCode::TooManyRequests,
            "the system's watches are used up; close other streams and watches first",
        ),
        errno => given.refuse(errno),
    })
}

/// Reads and forgets what was announced: it only said that it is time to look.
fn drain(kernel: &OwnedFd) -> std::io::Result<()> {
    let mut buffer = [MaybeUninit::uninit(); 8 << 10];
    let mut reader = inotify::Reader::new(kernel, &mut buffer);
    loop {
        match reader.next() {
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn source(path: &std::path::Path) -> Source {
        let given = |path: String| Given::new("path", path).unwrap();
        let path = path.to_string_lossy().into_owned();
        Source { before: Some(given(format!("{path}.1"))), path: given(path), service: false }
    }

    fn lines(tail: &mut Tail) -> (Vec<String>, Step) {
        let mut lines = Vec::new();
        loop {
            let step = tail.step(|line| lines.push(String::from_utf8(line.to_vec()).unwrap()));
            match step.unwrap() {
                Step::Read => {}
                step => return (lines, step),
            }
        }
    }

    #[test]
    fn from_the_start_to_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert!(Tail::open(&source(&path), false, true).is_err());
        std::fs::write(&path, "three\nfour").unwrap();
        std::fs::write(dir.path().join("log.1"), "one\ntwo\n").unwrap();
        let mut tail = Tail::open(&source(&path), false, true).unwrap();
        let expected = ["one", "two", "three", "four"].map(String::from).to_vec();
        assert_eq!(lines(&mut tail), (expected, Step::End));
    }

    #[test]
    fn follows_whatever_happens_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = Tail::open(&source(&path), true, false).unwrap();
        assert_eq!(lines(&mut tail), (vec![], Step::Idle));
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(lines(&mut tail), (vec!["one".into()], Step::Idle));
        file.write_all(b"o\n").unwrap();
        assert_eq!(lines(&mut tail), (vec!["two".into()], Step::Idle));
        // Truncated.
        std::fs::write(&path, "x\n").unwrap();
        assert_eq!(lines(&mut tail), (vec!["x".into()], Step::Idle));
        // Rotated: what is written to the old one before the new one is there is not lost.
        let mut old = File::options().append(true).open(&path).unwrap();
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        old.write_all(b"late\n").unwrap();
        assert_eq!(lines(&mut tail), (vec!["late".into()], Step::Idle));
        old.write_all(b"later").unwrap();
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(lines(&mut tail), (vec!["later".into(), "new".into()], Step::Idle));
    }
}
