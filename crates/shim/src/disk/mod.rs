//! The limit of what a session has on the disk, where it is kept: outside the walls, by counting.
//!
//! Owns when is counted and what follows from it ([`judge`](mod@judge)). The guest is told every count and refuses
//! what clients send (`guest-session/src/disk.rs`); what runs inside is stopped from here. `serve` is
//! told as well, and stops who writes most when the host's reserve is near (`fleet/src/local/reserve`).

mod judge;

use std::path::{Path, PathBuf};
use std::time::Duration;

use browserd_protocol::{DiskLimit, DiskReserve, GuestCommand, SessionSpec, ShimReport};
use browserd_sandbox::usage::{Enough, Usage, measure};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until};

use self::judge::{Judge, Verdict};
use crate::to_guest::ToGuest;

/// How often the file system is asked how full it is, which costs next to nothing: more often the
/// sooner the fastest writer could be where processes are killed.
const GLANCE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// What that writer writes in a millisecond: 2 GiB a second.
const FASTEST: u64 = (2 << 30) / 1000;
/// A count is never older than this, unless counting takes long.
const OLDEST: Duration = Duration::from_secs(10);
/// A count is followed by a pause of so many times what it took.
const REST: u32 = 20;
/// How soon is counted again what is there without the processes that were killed.
const AFTER_KILL: Duration = Duration::from_millis(250);
/// `serve` is told of a count by itself when it is so many bytes from the one before.
const MOVED: u64 = 1 << 20;

/// What is counted.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    folders: Vec<PathBuf>,
    init: i32,
    limit: Option<DiskLimit>,
    reserve: Option<DiskReserve>,
}

/// Who asked for a count, and how often. Touched, it asks as well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The guest's last question.
    pub(crate) guest: u64,
    /// How often `serve` asked.
    pub(crate) serve: u64,
}

/// What the file system has left.
#[derive(Debug, Clone, Copy, Default)]
struct Free {
    usage: Usage,
    /// Bytes for anybody but root.
    available: u64,
}

impl Disk {
    /// The disk of a session whose PID 1 is `init`.
    pub(crate) fn new(spec: &SessionSpec, overlay: bool, init: i32) -> Self {
        let names: &[&str] = match overlay {
            true => &["upper", "upper-usr", "work", "work-usr"],
            false => &["root"],
        };
        Self {
            folders: names.iter().map(|name| spec.dir.join(name)).collect(),
            init,
            limit: DiskLimit::of(spec.disk_limit),
            reserve: DiskReserve::of(spec.disk_reserve),
        }
    }

    fn count(&self, enough: Enough) -> std::io::Result<Usage> {
        let folders: Vec<&Path> = self.folders.iter().map(PathBuf::as_path).collect();
        measure(&folders, Some(self.init), enough)
    }

    fn free(&self) -> Free {
        let found = self.folders.first().and_then(|folder| rustix::fs::statvfs(folder).ok());
        found.map_or(Free::default(), |fs| Free {
            usage: Usage { bytes: fs.f_bfree.saturating_mul(fs.f_frsize), files: fs.f_ffree },
            available: fs.f_bavail.saturating_mul(fs.f_frsize),
        })
    }

    /// Whether the host's reserve is near.
    fn is_low(&self, free: Free) -> bool {
        self.reserve.is_some_and(|reserve| free.available < reserve.with_margin())
    }
}

/// Counts and tells the guest and `serve`: by itself, and whenever `asked` changes or is touched.
/// Resolves, with words, when the session is to end for it.
pub(crate) async fn watch(
    disk: Disk,
    mut asked: watch::Receiver<Asked>,
    guest: ToGuest,
    reports: broadcast::Sender<ShimReport>,
) -> String {
    if disk.limit.is_none() && disk.reserve.is_none() {
        return std::future::pending().await;
    }
    let limit = disk.limit.unwrap_or(DiskLimit::NONE);
    let mut judge = Judge::new(limit);
    let step = Usage { bytes: judge.slack.bytes / 2, files: judge.slack.files / 2 };
    // The last count `serve` was told of, and which of its questions that answered.
    let mut told: Option<(u64, u64)> = None;
    let mut left = 0;
    loop {
        let question = *asked.borrow_and_update();
        let (began, free) = (Instant::now(), disk.free());
        let (counted, enough) = (disk.clone(), judge.enough());
        let counted = tokio::task::spawn_blocking(move || counted.count(enough)).await;
        let took = began.elapsed();
        match counted.map_err(std::io::Error::other).flatten() {
            Ok(usage) => {
                left = judge.left(usage);
                let detail = || words(usage, limit);
                match judge.judge(usage, question.guest, Instant::now()) {
                    Verdict::Within => {}
                    Verdict::EndSession(cause) => {
                        return format!("{}; {}", detail(), cause.words());
                    }
                    Verdict::EndProcesses => {
                        tracing::warn!(
                            detail = detail(),
                            "the session is over its disk limit; what clients started in it is killed"
                        );
                        let _ = reports.send(ShimReport::DiskOver { detail: detail() });
                        if !guest.tell(GuestCommand::EndProcesses { why: detail() }) {
                            return format!("{}; its guest reads no commands", detail());
                        }
                    }
                }
                let Usage { bytes, files } = usage;
                let Usage { bytes: free, files: free_files } = free.usage;
                let Asked { guest: question, serve } = question;
                guest.disk(GuestCommand::Disk { bytes, files, free, free_files, question });
                let known = |(was, heard)| heard == serve && bytes.abs_diff(was) < MOVED;
                if !told.is_some_and(known) {
                    told = Some((bytes, serve));
                    let _ = reports.send(ShimReport::Disk { bytes });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the session's disk use could not be counted; it is tried again");
            }
        }
        // A guest that asks all the time gets half of the time.
        sleep(took).await;
        let soon = judge.has_just_killed();
        let due = async {
            let (rested, oldest) = (began + took * REST, began + OLDEST.max(took * REST));
            if soon {
                return sleep_until(began + AFTER_KILL.max(took)).await;
            }
            loop {
                sleep_until((Instant::now() + glance(left)).min(oldest).max(rested)).await;
                let now = disk.free();
                let written = free.usage.beyond(now.usage);
                let written = written.bytes >= step.bytes || written.files >= step.files;
                let low = disk.is_low(now) && !disk.is_low(free);
                if written || low || Instant::now() >= oldest {
                    return;
                }
            }
        };
        tokio::select! {
            asked = asked.changed() => if asked.is_err() { return std::future::pending().await },
            () = due => {}
        }
    }
}

/// How long the file system may be left alone with so many bytes left.
fn glance(left: u64) -> Duration {
    Duration::from_millis(left / FASTEST).clamp(GLANCE.0, GLANCE.1)
}

fn words(usage: Usage, limit: DiskLimit) -> String {
    if usage.files == u64::MAX {
        return "the session has folders on the disk too deep to be counted".to_owned();
    }
    format!(
        "the session may have {} bytes and {} files on its disk and has {} bytes and {} files",
        limit.bytes, limit.files, usage.bytes, usage.files
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn disk(folder: &Path, limit: Option<DiskLimit>, reserve: Option<DiskReserve>) -> Disk {
        // No process has this number.
        Disk { folders: vec![folder.to_owned()], init: i32::MAX, limit, reserve }
    }

    fn to_guest() -> (ToGuest, tokio::net::UnixStream, impl Future<Output = ()>) {
        let (socket, theirs) = tokio::net::UnixStream::pair().unwrap();
        let (guest, writing) = ToGuest::new(socket.into_split().1);
        (guest, theirs, writing)
    }

    #[tokio::test(start_paused = true)]
    async fn counts_afresh_when_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path(), DiskLimit::of(256 * MIB), None);
        let (guest, _theirs, _writing) = to_guest();
        let mut counts = guest.counts();
        let (measure, questions) = watch::channel(Asked { guest: 7, serve: 0 });
        let (reports, mut told) = broadcast::channel(8);
        let counting = tokio::spawn(watch(disk, questions, guest, reports));
        let mut files = async || {
            counts.changed().await.unwrap();
            match &*counts.borrow_and_update() {
                Some(GuestCommand::Disk { files, question: 7, .. }) => *files,
                other => panic!("{other:?}"),
            }
        };
        let before = files().await;
        assert!(matches!(told.try_recv(), Ok(ShimReport::Disk { .. })));
        std::fs::write(folder.path().join("one"), "more").unwrap();
        // The clock stands still while something is done.
        let began = Instant::now();
        measure.send_modify(|_| {});
        assert_eq!(files().await, before + 1);
        assert_eq!(began.elapsed(), Duration::ZERO);
        // It is not much more, and nobody asked.
        assert!(told.try_recv().is_err());
        measure.send_modify(|asked| asked.serve += 1);
        assert!(matches!(told.recv().await, Ok(ShimReport::Disk { .. })));
        counting.abort();
    }

    /// The disk of a host without any room is counted too, though the session has no limit.
    #[tokio::test(start_paused = true)]
    async fn a_session_without_a_limit_is_counted_for_the_reserve() {
        let folder = tempfile::tempdir().unwrap();
        let disk = disk(folder.path(), None, DiskReserve::of(1 << 62));
        assert!(disk.is_low(disk.free()));
        let (guest, _theirs, _writing) = to_guest();
        let (_measure, questions) = watch::channel(Asked::default());
        let (reports, mut told) = broadcast::channel(8);
        let counting = tokio::spawn(watch(disk, questions, guest, reports));
        assert!(matches!(told.recv().await, Ok(ShimReport::Disk { .. })));
        counting.abort();
    }

    /// A guest that does not read must not lose the order among the counts that follow it.
    #[tokio::test(start_paused = true)]
    async fn what_is_far_over_is_killed_and_then_ended() {
        use tokio::io::{AsyncBufReadExt, BufReader};
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x"), vec![1; 1 << 20]).unwrap();
        let disk = disk(folder.path(), Some(DiskLimit { bytes: 0, files: 0 }), None);
        let (guest, theirs, writing) = to_guest();
        let (_measure, questions) = watch::channel(Asked::default());
        // Beyond all slacks: a file of 1 MiB is not, a folder with more names than none is.
        let ended = watch(disk, questions, guest.clone(), broadcast::channel(8).0).await;
        assert!(ended.contains("did not change that"), "{ended}");
        drop(guest);
        writing.await;
        let mut lines = BufReader::new(theirs).lines();
        let mut told = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            told.push(serde_json::from_str(&line).unwrap());
        }
        let kills = told.iter().filter(|told| matches!(told, GuestCommand::EndProcesses { .. }));
        assert_eq!(kills.count(), 1, "{told:?}");
    }

    #[test]
    fn the_file_system_is_asked_more_often_near_the_limit() {
        assert_eq!(glance(u64::MAX), GLANCE.1);
        assert_eq!(glance(0), GLANCE.0);
        let between = glance(512 * MIB);
        assert!(between > GLANCE.0 && between < GLANCE.1, "{between:?}");
    }
}
