//! What the session may still write to the disk: the guest's share of keeping the limit, and the host's
//! reserve.
//!
//! The shim counts (`shim/src/disk/`) and tells. Between two counts the guest adds what it writes
//! for clients, or what the whole file system has lost, which processes may have written, if that is
//! more. When that reaches the limit it asks for a fresh count before it refuses anything, so what was
//! deleted a moment ago is room, and what processes and Chromium write is not forgotten.
//!
//! What the host has left is asked of the kernel before each piece: it is shared with everybody else.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use browserd_api::{ApiError, ErrorCode};
use browserd_protocol::{DiskLimit, DiskReserve, GuestReport};
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// It would be more than the session may have.
    #[error("the session may have {} bytes and {} files on its disk and has {bytes} bytes and {files} files", limit.bytes, limit.files)]
    Session {
        /// What it has.
        bytes: u64,
        /// The same, names.
        files: u64,
        /// What it may have.
        limit: DiskLimit,
    },
    /// It would be more than the host has to spare.
    #[error("the host's disk has {available} bytes left and keeps {kept} of them free")]
    Host {
        /// What it has left.
        available: u64,
        /// What it keeps.
        kept: u64,
    },
}

impl Full {
    /// The refusal, about what was to be written to `what`.
    #[must_use]
    pub fn refuse(self, what: impl std::fmt::Display) -> Error {
        let (advice, details) = match self {
            Self::Session { bytes, limit, .. } => {
                ("delete something first", [("limit_bytes", limit.bytes), ("used_bytes", bytes)])
            }
            Self::Host { available, kept } => (
                "delete something, here or in other sessions, or ask the operator for more room",
                [("available_bytes", available), ("kept_free_bytes", kept)],
            ),
        };
        let message =
            format!("there is no room for {what}: {self}; nothing of it was kept, {advice}");
        let error = ApiError::new(ErrorCode::InsufficientStorage, message);
        Error(
            details
                .into_iter()
                .fold(error, |error, (name, value)| error.detail(name, value.to_string())),
        )
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
    reserve: Option<DiskReserve>,
    /// The last refusal, for what the kernel's words leave open.
    refused: Mutex<Option<Full>>,
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

/// What is free on the file system the session's disk is on, and bytes of it for anybody but root.
fn free() -> (Usage, u64) {
    rustix::fs::statvfs("/").map_or((Usage::default(), u64::MAX), |fs| {
        let usage = Usage { bytes: fs.f_bfree.saturating_mul(fs.f_frsize), files: fs.f_ffree };
        (usage, fs.f_bavail.saturating_mul(fs.f_frsize))
    })
}

/// What keeps `bytes` from being written with `available` left.
fn short(reserve: Option<DiskReserve>, available: u64, bytes: u64) -> Option<Full> {
    let kept = reserve?.with_margin();
    (available.saturating_sub(bytes) < kept).then_some(Full::Host { available, kept })
}

impl Disk {
    /// A disk without a limit.
    #[must_use]
    pub fn unlimited() -> Self {
        Self(None)
    }

    /// A disk with `limit`, of which the shim counts what is on it, on a file system of which
    /// `reserve` is kept free.
    #[must_use]
    pub fn new(limit: Option<DiskLimit>, reserve: Option<DiskReserve>, line: ShimLine) -> Self {
        if limit.is_none() && reserve.is_none() {
            return Self(None);
        }
        Self(Some(Arc::new(Inner {
            limit: limit.unwrap_or(DiskLimit::NONE),
            reserve,
            refused: Mutex::default(),
            line,
            charged: Charged::default(),
            asked: Mutex::default(),
            counted: watch::Sender::default(),
        })))
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
        match inner.charge(bytes, files, Look::Glance) {
            Err(Full::Session { .. }) => {}
            decided => return decided,
        }
        inner.ask().await;
        inner.charge(bytes, files, Look::Count)
    }

    /// Whether so much could be written, without taking note of it.
    pub async fn fits(&self, bytes: u64) -> Result<(), Full> {
        let Some(inner) = &self.0 else { return Ok(()) };
        match inner.check(bytes, 1, Look::Glance) {
            Err(Full::Session { .. }) => {}
            decided => return decided,
        }
        inner.ask().await;
        inner.check(bytes, 1, Look::Count)
    }

    /// Waits for a count of what there is from now on.
    pub async fn recount(&self) {
        if let Some(inner) = &self.0 {
            inner.ask().await;
        }
    }

    /// As [`Disk::admit`], on a thread that may block.
    pub fn admit_blocking(&self, bytes: u64, files: u64) -> io::Result<()> {
        let Some(inner) = &self.0 else { return Ok(()) };
        match inner.charge(bytes, files, Look::Glance) {
            Err(Full::Session { .. }) => {}
            decided => return Ok(decided?),
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        Ok(runtime.block_on(self.admit(bytes, files))?)
    }

    /// The last refusal, where only the kernel's word for it was passed on.
    #[must_use]
    pub fn last_refusal(&self) -> Option<Full> {
        *self.0.as_ref()?.refused.lock()
    }

    /// Resolves when the session is over its limit, whoever wrote that, or the host's reserve is near.
    pub async fn over(&self) {
        let Some(inner) = &self.0 else { return std::future::pending().await };
        let (mut counts, limit) = (inner.counted.subscribe(), inner.limit);
        // A count comes when the reserve gets near. How it is now is asked, because there may be room again.
        let is_low = || short(inner.reserve, free().1, 0).is_some();
        let over = |counted: &Counted| {
            counted.found.bytes > limit.bytes || counted.found.files > limit.files || is_low()
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

    fn check(&self, bytes: u64, files: u64, look: Look) -> Result<(), Full> {
        let (free, available) = free();
        let full = short(self.reserve, available, bytes)
            .or_else(|| self.beyond_limit(bytes, files, look, free));
        match full {
            Some(full) => {
                *self.refused.lock() = Some(full);
                Err(full)
            }
            None => Ok(()),
        }
    }

    /// What keeps so much from being written because of the session's own limit.
    fn beyond_limit(&self, bytes: u64, files: u64, look: Look, free: Usage) -> Option<Full> {
        let mut now = self.now();
        if look == Look::Glance {
            let counted = *self.counted.borrow();
            let most = counted.found.plus(counted.free.beyond(free));
            now = Usage { bytes: now.bytes.max(most.bytes), files: now.files.max(most.files) };
        }
        let limit = self.limit;
        let fits = now.bytes.saturating_add(bytes) <= limit.bytes
            && now.files.saturating_add(files) <= limit.files;
        (!fits).then_some(Full::Session { bytes: now.bytes, files: now.files, limit })
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
        let disk = Disk::new(Some(LIMIT), None, line);
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
                answering.counted(Usage { bytes, files: 3 }, free().0, question);
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
        let refused = disk.admit(1, 0).await.unwrap_err();
        assert_eq!(refused, Full::Session { bytes: 1000, files: 3, limit: LIMIT });
        let error = io::Error::from(refused);
        assert_eq!(super::full(&error), Some(refused));
        assert_eq!(disk.last_refusal(), Some(refused));
        found.store(999, Ordering::Relaxed);
        disk.admit(1, 0).await.unwrap();
        found.store(1000, Ordering::Relaxed);
        disk.fits(1).await.unwrap_err();
        disk.admit(0, 8).await.unwrap_err();
    }

    /// What is refused for the host's sake is so at once: a count would not change it.
    #[tokio::test]
    async fn the_reserve_of_the_host_is_kept_without_a_limit_too() {
        let disk = Disk::new(None, DiskReserve::of(1 << 62), ShimLine::nowhere());
        for refused in [
            disk.admit(1, 0).await.unwrap_err(),
            disk.fits(1).await.unwrap_err(),
            full(&disk.admit_blocking(0, 1).unwrap_err()).unwrap(),
        ] {
            assert!(matches!(refused, Full::Host { kept, .. } if kept > 1 << 62));
            let refusal = refused.refuse("a test").0;
            assert_eq!(refusal.code(), ErrorCode::InsufficientStorage);
            assert!(refusal.to_string().contains("the host's disk has"), "{refusal}");
        }
        disk.counted(Usage::default(), Usage::default(), 0);
        disk.over().await;
        let roomy = Disk::new(None, DiskReserve::of(1), ShimLine::nowhere());
        roomy.admit(1, 1).await.unwrap();
        assert!(roomy.fits(u64::MAX).await.is_err());
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
