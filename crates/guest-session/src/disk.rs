//! What the session may still write to the disk: the guest's share of keeping the limit.
//!
//! The shim counts (`shim/src/disk.rs`) and tells. Between two counts the guest adds what it writes
//! for clients, or what the whole file system has lost, which processes may have written, if that is
//! more. When that reaches the limit it asks for a fresh count before it refuses anything, so what was
//! deleted a moment ago is room, and what processes and Chromium write is not forgotten.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use browserd_api::{ApiError, ErrorCode};
use browserd_protocol::{DiskLimit, GuestReport};
use browserd_rest::Error;
use browserd_sandbox::usage::Usage;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::shim::ShimLine;

/// How long a count may take; then what is known decides.
const COUNTED_WITHIN: Duration = Duration::from_secs(20);
/// What a file or folder takes at least, bytes.
pub const ENTRY: u64 = 4096;

/// Why nothing more may be written.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the session may have {} bytes and {} files on its disk and has {bytes} bytes and {files} files", limit.bytes, limit.files)]
pub struct Full {
    bytes: u64,
    files: u64,
    limit: DiskLimit,
}

impl Full {
    /// The refusal, about what was to be written to `what`.
    #[must_use]
    pub fn refuse(self, what: impl std::fmt::Display) -> Error {
        let message = format!(
            "there is no room for {what}: {self}; nothing of it was kept, delete something first"
        );
        let error = ApiError::new(ErrorCode::InsufficientStorage, message)
            .detail("limit_bytes", self.limit.bytes.to_string())
            .detail("used_bytes", self.bytes.to_string());
        Error(error)
    }
}

impl From<Full> for io::Error {
    fn from(full: Full) -> Self {
        Self::new(io::ErrorKind::StorageFull, full)
    }
}

/// The limit in `error`, when it was that.
#[must_use]
pub fn full(error: &io::Error) -> Option<Full> {
    error.get_ref()?.downcast_ref().copied()
}

/// The session's disk. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Disk(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    limit: DiskLimit,
    line: ShimLine,
    charged: Charged,
    /// What was asked and how much had been charged then; the last question in the back.
    asked: Mutex<(u64, VecDeque<(u64, Usage)>)>,
    counted: watch::Sender<Counted>,
}

/// Written for clients since the guest started.
#[derive(Debug, Default)]
struct Charged {
    bytes: AtomicU64,
    files: AtomicU64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    found: Usage,
    question: u64,
    /// What had been charged when the question was asked.
    charged: Usage,
    /// What was free on the file system.
    free: Usage,
}

/// How closely is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Whatever anybody wrote to the file system counts: never too little.
    Glance,
    /// Right after a count.
    Count,
}

/// What is free on the file system the session's disk is on.
fn free() -> Usage {
    rustix::fs::statvfs("/").map_or(Usage::default(), |fs| Usage {
        bytes: fs.f_bfree.saturating_mul(fs.f_frsize),
        files: fs.f_ffree,
    })
}

impl Disk {
    /// A disk without a limit.
    #[must_use]
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// A disk with `limit`, of which the shim counts what is on it.
    #[must_use]
    pub fn new(limit: Option<DiskLimit>, line: ShimLine) -> Self {
        Self(limit.map(|limit| {
            let counted = watch::Sender::default();
            Arc::new(Inner {
                limit,
                line,
                charged: Charged::default(),
                asked: Mutex::default(),
                counted,
            })
        }))
    }

    /// Takes a count of the shim's, made after `question` was asked, with `free` then free on the
    /// file system.
    pub fn counted(&self, found: Usage, free: Usage, question: u64) {
        let Some(inner) = &self.0 else { return };
        let mut asked = inner.asked.lock();
        let mut charged = None;
        while asked.1.front().is_some_and(|(number, _)| *number <= question) {
            charged = asked.1.pop_front().map(|(_, charged)| charged);
        }
        drop(asked);
        inner.counted.send_modify(|counted| {
            let charged = charged.unwrap_or(counted.charged);
            *counted = Counted { found, question, charged, free };
        });
    }

    /// Takes note of what is about to be written for a client.
    pub async fn admit(&self, bytes: u64, files: u64) -> Result<(), Full> {
        let Some(inner) = &self.0 else { return Ok(()) };
        if inner.charge(bytes, files, Look::Glance).is_ok() {
            return Ok(());
        }
        inner.ask().await;
        inner.charge(bytes, files, Look::Count)
    }

    /// Whether so much could be written, without taking note of it.
    pub async fn fits(&self, bytes: u64) -> Result<(), Full> {
        let Some(inner) = &self.0 else { return Ok(()) };
        if inner.check(bytes, 1, Look::Glance).is_ok() {
            return Ok(());
        }
        inner.ask().await;
        inner.check(bytes, 1, Look::Count)
    }

    /// As [`Disk::admit`], on a thread that may block.
    pub fn admit_blocking(&self, bytes: u64, files: u64) -> io::Result<()> {
        let Some(inner) = &self.0 else { return Ok(()) };
        if inner.charge(bytes, files, Look::Glance).is_ok() {
            return Ok(());
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        Ok(runtime.block_on(self.admit(bytes, files))?)
    }

    /// The refusal for what the kernel said when it was the limit that did.
    #[must_use]
    pub fn is_full(&self) -> Option<Full> {
        let inner = self.0.as_ref()?;
        Some(inner.full(inner.now()))
    }

    /// Resolves when the session is over its limit, whoever wrote that.
    pub async fn over(&self) {
        let Some(inner) = &self.0 else { return std::future::pending().await };
        let (mut counts, limit) = (inner.counted.subscribe(), inner.limit);
        let over = |counted: &Counted| {
            counted.found.bytes > limit.bytes || counted.found.files > limit.files
        };
        // The sender is in `inner`.
        let _ = counts.wait_for(over).await;
    }
}

impl Inner {
    fn charged(&self) -> Usage {
        Usage {
            bytes: self.charged.bytes.load(Ordering::Relaxed),
            files: self.charged.files.load(Ordering::Relaxed),
        }
    }

    /// The last count and what was written since.
    fn now(&self) -> Usage {
        let counted = *self.counted.borrow();
        counted.found.plus(self.charged().beyond(counted.charged))
    }

    fn full(&self, now: Usage) -> Full {
        Full { bytes: now.bytes, files: now.files, limit: self.limit }
    }

    fn check(&self, bytes: u64, files: u64, look: Look) -> Result<(), Full> {
        let mut now = self.now();
        if look == Look::Glance {
            let counted = *self.counted.borrow();
            let most = counted.found.plus(counted.free.beyond(free()));
            now = Usage { bytes: now.bytes.max(most.bytes), files: now.files.max(most.files) };
        }
        let fits = now.bytes.saturating_add(bytes) <= self.limit.bytes
            && now.files.saturating_add(files) <= self.limit.files;
        if fits { Ok(()) } else { Err(self.full(now)) }
    }

    fn charge(&self, bytes: u64, files: u64, look: Look) -> Result<(), Full> {
        self.check(bytes, files, look)?;
        self.charged.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.charged.files.fetch_add(files, Ordering::Relaxed);
        Ok(())
    }

    /// Waits for a count that is made from now on.
    async fn ask(&self) {
        let mut counts = self.counted.subscribe();
        let question = {
            let mut asked = self.asked.lock();
            asked.0 += 1;
            let question = asked.0;
            asked.1.push_back((question, self.charged()));
            question
        };
        self.line.report(GuestReport::MeasureDisk { question }).await;
        let answer = counts.wait_for(|counted| counted.question >= question);
        if tokio::time::timeout(COUNTED_WITHIN, answer).await.is_err() {
            tracing::warn!(
                "the session's disk use was not counted in time; the last count decides what is refused"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: DiskLimit = DiskLimit { bytes: 1000, files: 10 };

    /// A disk, and what a shim would say that finds `found` bytes at each question.
    fn disk(found: Arc<AtomicU64>) -> Disk {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let (line, _) = ShimLine::new(ours).unwrap();
        let disk = Disk::new(Some(LIMIT), line);
        let answering = disk.clone();
        theirs.set_nonblocking(true).unwrap();
        let theirs = tokio::net::UnixStream::from_std(theirs).unwrap();
        tokio::spawn(async move {
            use tokio::io::AsyncBufReadExt;
            let mut lines = tokio::io::BufReader::new(theirs).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let GuestReport::MeasureDisk { question } = serde_json::from_str(&line).unwrap()
                else {
                    panic!("{line}")
                };
                let bytes = found.load(Ordering::Relaxed);
                answering.counted(Usage { bytes, files: 3 }, free(), question);
            }
        });
        disk
    }

    #[tokio::test]
    async fn refuses_by_what_is_there_and_not_by_what_was_written() {
        let found = Arc::new(AtomicU64::new(0));
        let disk = disk(Arc::clone(&found));
        disk.admit(900, 1).await.unwrap();
        // The write failed or was deleted: there is room.
        found.store(100, Ordering::Relaxed);
        disk.admit(900, 1).await.unwrap();
        found.store(1000, Ordering::Relaxed);
        let full = disk.admit(1, 0).await.unwrap_err();
        assert_eq!((full.bytes, full.files), (1000, 3));
        let error = io::Error::from(full);
        assert_eq!(super::full(&error).unwrap().bytes, 1000);
        found.store(999, Ordering::Relaxed);
        disk.admit(1, 0).await.unwrap();
        found.store(1000, Ordering::Relaxed);
        disk.fits(1).await.unwrap_err();
        disk.admit(0, 8).await.unwrap_err();
    }

    #[tokio::test]
    async fn says_when_it_is_over() {
        let disk = disk(Arc::default());
        disk.counted(Usage { bytes: 1000, files: 1 }, Usage::default(), 0);
        let over = disk.over();
        tokio::pin!(over);
        assert!(futures_util::poll!(&mut over).is_pending());
        disk.counted(Usage { bytes: 1001, files: 1 }, Usage::default(), 0);
        over.await;
    }
}
