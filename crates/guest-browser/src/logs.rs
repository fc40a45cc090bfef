//! Log files of the session's programs, bounded in size: a file and the one before it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use parking_lot::Mutex;
use rustix::fs::{CWD, Mode, OFlags};
use tokio::net::unix::pipe;

use super::lines::Lines;

/// Size at which a log file is renamed to `NAME.1`, replacing the one before, bytes.
const ROTATE_AT: u64 = 4 << 20;

/// The folder of log files, and the guest's own log in it.
pub struct Logs {
    dir: PathBuf,
    guest: Mutex<LogFile>,
}

impl Logs {
    /// Makes the folder if it is not there yet.
    pub(crate) fn new(dir: PathBuf) -> Self {
        if let Err(error) = std::fs::create_dir_all(&dir) {
            tracing::warn!(
                path = %dir.display(),
                %error,
                "the folder for the session's log files cannot be made; what its programs write is lost"
            );
        }
        let guest = Mutex::new(LogFile::new(dir.join("guest.log")));
        Self { dir, guest }
    }

    /// A program's log.
    pub fn file(&self, name: &str) -> LogFile {
        LogFile::new(self.dir.join(name))
    }

    /// Notes something the guest did, with the time.
    pub fn event(&self, text: &str) {
        tracing::info!("{text}");
        let line = format!("{:.3} {text}", jiff::Timestamp::now());
        self.guest.lock().write_line(line.as_bytes());
    }
}

/// One log file. What cannot be written is dropped: a full disk must not stop the browser.
pub struct LogFile {
    path: PathBuf,
    open: Option<(File, u64)>,
    failed: bool,
    rotate_at: u64,
}

impl LogFile {
    fn new(path: PathBuf) -> Self {
        Self { path, open: None, failed: false, rotate_at: ROTATE_AT }
    }

    /// Adds a line, which needs no line break.
    pub fn write_line(&mut self, line: &[u8]) {
        let result = self.try_write(line);
        if let (Err(error), false) = (&result, self.failed) {
            tracing::warn!(
                path = %self.path.display(),
                %error,
                "a log file in the session cannot be written; lines are dropped until it can"
            );
        }
        self.failed = result.is_err();
    }

    fn try_write(&mut self, line: &[u8]) -> io::Result<()> {
        let (mut file, size) = match self.open.take() {
            Some((_, size)) if size >= self.rotate_at => {
                std::fs::rename(&self.path, self.path.with_added_extension("1"))?;
                self.create()?
            }
            Some(open) => open,
            None => self.create()?,
        };
        let mut text = Vec::with_capacity(line.len() + 1);
        text.extend_from_slice(line);
        text.push(b'\n');
        file.write_all(&text)?;
        self.open = Some((file, size + text.len() as u64));
        Ok(())
    }

    /// Opens for appending; what is no regular file (a link someone put there) is refused.
    fn create(&self) -> io::Result<(File, u64)> {
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::APPEND
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(CWD, &self.path, flags, Mode::from(0o644))?);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok((file, metadata.len()))
    }
}

/// Writes what comes out of `output` to `log`, line by line, until its end; every line is shown to
/// `look` first.
pub async fn pump(output: OwnedFd, mut log: LogFile, mut look: impl FnMut(&[u8])) {
    let output = match pipe::Receiver::from_owned_fd(output) {
        Ok(output) => output,
        Err(error) => {
            tracing::error!(%error, "a program's output cannot be read; it runs without a log");
            return;
        }
    };
    let mut lines = Lines::new(output);
    while let Ok(Some(line)) = lines.next().await {
        look(line);
        log.write_line(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_two_files_of_bounded_size() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::new(dir.path().join("x.log"));
        log.rotate_at = 100;
        for n in 0..50 {
            log.write_line(format!("line {n:04}").as_bytes());
        }
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["x.log", "x.log.1"]);
        for name in names {
            let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
            assert!(text.len() <= 110, "{}", text.len());
        }
        assert!(
            std::fs::read_to_string(dir.path().join("x.log")).unwrap().ends_with("line 0049\n")
        );
    }

    #[test]
    fn does_not_follow_links() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        std::fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join("x.log")).unwrap();
        LogFile::new(dir.path().join("x.log")).write_line(b"line");
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "kept");
    }
}
