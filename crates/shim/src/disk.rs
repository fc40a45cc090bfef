//! The limit of what a session has on the disk, where it is kept: outside the walls, by counting.
//!
//! Owns when is counted and what follows from it. The guest is told every count and refuses what
//! clients send (`guest-session/src/disk.rs`); what runs inside is stopped from here.
//!
//! ```text
//!  within the limit ─▶ over it ──────▶ over it and the slack ───▶ still growing, by the slack
//!                      guest refuses    guest kills what clients   the session ends: disk_full
//!                                       started
//! ```

use std::path::{Path, PathBuf};
use std::time::Duration;

use browserd_protocol::{DiskLimit, GuestCommand, ShimReport};
use browserd_sandbox::usage::{Enough, Usage, measure};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::to_guest::ToGuest;

/// How often the file system is asked how full it is, which costs next to nothing.
const GLANCE: Duration = Duration::from_secs(1);
/// A count is never older than this, unless counting takes long.
const OLDEST: Duration = Duration::from_secs(10);
/// A count is followed by a pause of so many times what it took.
const REST: u32 = 20;
/// Most and least that may be written past the limit before processes are killed; an eighth of it
/// in between.
const SLACK: (u64, u64) = (64 << 20, 1 << 30);

/// What is counted.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    folders: Vec<PathBuf>,
    init: i32,
    limit: Option<DiskLimit>,
}

impl Disk {
    /// The disk of the session in `dir`, whose PID 1 is `init`.
    pub(crate) fn new(dir: &Path, overlay: bool, init: i32, limit: Option<DiskLimit>) -> Self {
        let names: &[&str] = match overlay {
            true => &["upper", "upper-usr", "work", "work-usr"],
            false => &["root"],
        };
        Self { folders: names.iter().map(|name| dir.join(name)).collect(), init, limit }
    }

    fn count(&self, enough: Enough) -> std::io::Result<Usage> {
        let folders: Vec<&Path> = self.folders.iter().map(PathBuf::as_path).collect();
        measure(&folders, Some(self.init), enough)
    }

    /// Bytes, and files, free on the file system.
    fn free(&self) -> (u64, u64) {
        self.folders
            .first()
            .and_then(|folder| rustix::fs::statvfs(folder).ok())
            .map_or((0, 0), |fs| (fs.f_bfree.saturating_mul(fs.f_frsize), fs.f_ffree))
    }
}

/// What a count leads to.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Within,
    EndProcesses,
    EndSession,
}

/// Decides, count by count.
struct Judge {
    limit: DiskLimit,
    slack: Usage,
    /// Processes have been killed since the session was last within bounds; what the first count
    /// after that found.
    killed: Option<Option<Usage>>,
}

impl Judge {
    fn new(limit: DiskLimit) -> Self {
        let bytes = (limit.bytes / 8).clamp(SLACK.0, SLACK.1);
        Self { limit, slack: Usage { bytes, files: limit.files / 4 }, killed: None }
    }

    /// Where counting may stop.
    fn enough(&self) -> Enough {
        Enough { bytes: u64::MAX, files: self.limit.files + 3 * self.slack.files }
    }

    fn judge(&mut self, usage: Usage) -> Verdict {
        let bound = Usage {
            bytes: self.limit.bytes + self.slack.bytes,
            files: self.limit.files + self.slack.files,
        };
        if usage.bytes <= bound.bytes && usage.files <= bound.files {
            self.killed = None;
            return Verdict::Within;
        }
        let Some(first) = &mut self.killed else {
            self.killed = Some(None);
            return Verdict::EndProcesses;
        };
        // What was written until they were dead is no reason.
        let first = first.get_or_insert(usage);
        let grown = usage.bytes > first.bytes.saturating_add(self.slack.bytes);
        // Files are not counted further than this.
        if grown || usage.files > self.enough().files {
            return Verdict::EndSession;
        }
        Verdict::Within
    }
}

/// Counts and tells the guest: by itself, and whenever `questions` changes or is touched. Resolves,
/// with words, when the session is to end for it.
pub(crate) async fn watch(
    disk: Disk,
    mut questions: watch::Receiver<u64>,
    guest: ToGuest,
    reports: broadcast::Sender<ShimReport>,
) -> String {
    let Some(limit) = disk.limit else { return std::future::pending().await };
    let mut judge = Judge::new(limit);
    let step = Usage { bytes: judge.slack.bytes / 2, files: judge.slack.files / 2 };
    loop {
        let question = *questions.borrow_and_update();
        let (began, free) = (Instant::now(), disk.free());
        let (counted, enough) = (disk.clone(), judge.enough());
        let counted = tokio::task::spawn_blocking(move || counted.count(enough)).await;
        let took = began.elapsed();
        match counted.map_err(std::io::Error::other).flatten() {
            Ok(usage) => {
                let verdict = judge.judge(usage);
                let detail = || words(usage, limit);
                if verdict == Verdict::EndSession {
                    return detail();
                }
                let end_processes = verdict == Verdict::EndProcesses;
                if end_processes {
                    tracing::warn!(
                        detail = detail(),
                        "the session is over its disk limit; what clients started in it is killed"
                    );
                    let _ = reports.send(ShimReport::DiskOver { detail: detail() });
                }
                let Usage { bytes, files } = usage;
                guest.disk(GuestCommand::Disk {
                    bytes,
                    files,
                    free: free.0,
                    free_files: free.1,
                    question,
                    end_processes,
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the session's disk use could not be counted; it is tried again");
            }
        }
        // A guest that asks all the time gets half of the time.
        sleep(took).await;
        let due = async {
            let (rested, oldest) = (began + took * REST, began + OLDEST.max(took * REST));
            loop {
                sleep_until((Instant::now() + GLANCE).min(oldest).max(rested)).await;
                let now = disk.free();
                let written = free.0.saturating_sub(now.0) >= step.bytes
                    || free.1.saturating_sub(now.1) >= step.files;
                if written || Instant::now() >= oldest {
                    return;
                }
            }
        };
        tokio::select! {
            asked = questions.changed() => if asked.is_err() { return std::future::pending().await },
            () = due => {}
        }
    }
}

fn words(usage: Usage, limit: DiskLimit) -> String {
    if usage.files == u64::MAX {
        return "the session has folders on the disk too deep to be counted".to_owned();
    }
    format!(
        "the session has {} bytes and {} files on the disk, its limit is {} bytes and {} files",
        usage.bytes, usage.files, limit.bytes, limit.files
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn bytes(bytes: u64) -> Usage {
        Usage { bytes, files: 10 }
    }

    #[tokio::test(start_paused = true)]
    async fn counts_afresh_when_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let folders = vec![folder.path().to_owned()];
        // No process has this number.
        let disk = Disk { folders, init: i32::MAX, limit: DiskLimit::of(256 * MIB) };
        let (socket, _guest) = tokio::net::UnixStream::pair().unwrap();
        let (guest, _) = ToGuest::new(socket.into_split().1);
        let mut counts = guest.counts();
        let (measure, questions) = watch::channel(7);
        let counting = tokio::spawn(watch(disk, questions, guest, broadcast::channel(1).0));
        let mut files = async || {
            counts.changed().await.unwrap();
            match &*counts.borrow_and_update() {
                Some(GuestCommand::Disk { files, question: 7, .. }) => *files,
                other => panic!("{other:?}"),
            }
        };
        let before = files().await;
        std::fs::write(folder.path().join("one"), "more").unwrap();
        // The clock stands still while something is done.
        let told = Instant::now();
        measure.send_modify(|_| {});
        assert_eq!(files().await, before + 1);
        assert_eq!(told.elapsed(), Duration::ZERO);
        counting.abort();
    }

    #[test]
    fn first_processes_go_and_only_what_grows_on_ends_the_session() {
        let mut judge = Judge::new(DiskLimit::of(256 * MIB).unwrap());
        assert_eq!(judge.judge(bytes(256 * MIB)), Verdict::Within);
        assert_eq!(judge.judge(bytes(320 * MIB)), Verdict::Within);
        assert_eq!(judge.judge(bytes(330 * MIB)), Verdict::EndProcesses);
        // Whatever was written in between.
        assert_eq!(judge.judge(bytes(900 * MIB)), Verdict::Within);
        assert_eq!(judge.judge(bytes(964 * MIB)), Verdict::Within);
        assert_eq!(judge.judge(bytes(965 * MIB)), Verdict::EndSession);
        // Something was deleted: it begins again.
        assert_eq!(judge.judge(bytes(100 * MIB)), Verdict::Within);
        assert_eq!(judge.judge(bytes(330 * MIB)), Verdict::EndProcesses);
    }

    #[test]
    fn many_files_are_too_much_as_well() {
        let limit = DiskLimit::of(64 * MIB).unwrap();
        let files = |files| Usage { bytes: 0, files };
        let mut judge = Judge::new(limit);
        assert_eq!(judge.judge(files(limit.files)), Verdict::Within);
        assert_eq!(judge.judge(files(limit.files * 5 / 4 + 1)), Verdict::EndProcesses);
        assert_eq!(judge.judge(files(limit.files * 3 / 2)), Verdict::Within);
        assert_eq!(judge.judge(files(judge.enough().files + 1)), Verdict::EndSession);
        let mut judge = Judge::new(limit);
        assert_eq!(judge.judge(files(u64::MAX)), Verdict::EndProcesses);
        assert_eq!(judge.judge(files(u64::MAX)), Verdict::EndSession);
    }
}
