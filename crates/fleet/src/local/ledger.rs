//! Clearing away a session by its ledger entry, whether its shim still lives or not.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::Path;

use browserd_api::SessionId;
use browserd_protocol::{LedgerEntry, LedgerProcess, file};
use browserd_sandbox::{cgroup, proc};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Deserialize;
use tokio::process::Command;

use super::rescue;

/// Bytes of a shim's log worth showing.
const LOG_TAIL: u64 = 4096;
/// How long a killed session may take to be gone before its folder is removed all the same.
const GONE_WITHIN: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Puts the end of a session's log into the server's, before the folder goes.
pub(super) fn tell_log(dir: &Path) {
    let tail = || -> io::Result<String> {
        let mut file = std::fs::File::open(dir.join(file::SHIM_LOG))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
        let mut text = Vec::new();
        file.take(LOG_TAIL).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    };
    let session = &*dir.file_name().unwrap_or_default().to_string_lossy();
    for line in tail().unwrap_or_default().lines() {
        let Record { timestamp: at, level, message, .. } = Record::read(line);
        tracing::warn!(session, at, level, "from the log of the session's shim: {message}");
    }
}

/// A line of a shim's log, which is JSON or text, as this server's own is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record {
    timestamp: Option<String>,
    level: Option<String>,
    message: String,
    /// What else it says; added to the message.
    #[serde(flatten)]
    rest: BTreeMap<String, serde_json::Value>,
}

impl Record {
    fn read(line: &str) -> Self {
        let Ok(mut record) = serde_json::from_str::<Self>(line) else {
            return Self { message: line.to_owned(), ..Self::default() };
        };
        for (name, value) in std::mem::take(&mut record.rest) {
            // Where in the code it was said is of no use here.
            if !matches!(name.as_str(), "target" | "span" | "spans") {
                record.message.push_str(&format!(" {name}={value}"));
            }
        }
        record
    }
}

/// Ends whatever is left of the session in `dir`, moves its recordings out and removes the folder.
pub(super) async fn clear_leftover(dir: &Path) -> io::Result<()> {
    let entry = match std::fs::read(dir.join(file::LEDGER)) {
        Ok(text) => serde_json::from_slice::<LedgerEntry>(&text).ok(),
        Err(_) => None,
    };
    if let Some(entry) = entry {
        tokio::task::spawn_blocking(move || end(&entry)).await.map_err(io::Error::other)??;
    }
    rescue::replays(dir);
    remove_folder(dir).await
}

/// The same of all sessions an earlier server left in `sessions`; answers which those were.
pub(super) async fn clear_all(sessions: &Path) -> io::Result<Vec<SessionId>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(sessions)? {
        let path = entry?.path();
        if let Some(id) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) {
            found.push(id);
        }
        // One that resists must not keep the server from starting; the next start tries again.
        if let Err(error) = clear_leftover(&path).await {
            tracing::error!(%error, path = %path.display(), "could not clear away a session that an earlier server left; the next start of the server tries again");
        }
    }
    Ok(found)
}

/// Ends the processes of an entry and removes its cgroups.
fn end(entry: &LedgerEntry) -> io::Result<()> {
    kill(entry.shim_pid, entry.shim_start_ticks);
    // PID 1 inside asked to die with its shim, but what runs inside may have taken that back. With
    // it dies all that is inside.
    if let Some(LedgerProcess { pid, start_ticks }) = entry.guest
        && let Some(guest) = kill(pid, start_ticks)
    {
        // Readable once the process has ended, and that is after the last one inside.
        let _ = poll(&mut [PollFd::new(&guest, PollFlags::IN)], Some(&GONE_WITHIN));
    }
    cgroup::clear(&entry.cgroups).map_err(io::Error::other)
}

/// Kills a process, unless the pid means another by now.
fn kill(pid: i32, start_ticks: u64) -> Option<OwnedFd> {
    // The descriptor first, then the question who it is: it cannot change hands in between.
    let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    if proc::start_ticks(pid).ok()? != start_ticks {
        return None;
    }
    pidfd_send_signal(&fd, Signal::KILL).ok()?;
    Some(fd)
}

/// Removes a session's folder with `rm`, which copes with whatever depth and modes the guest left.
async fn remove_folder(dir: &Path) -> io::Result<()> {
    let rm = || Command::new("rm").arg("-rf").arg("--one-file-system").arg("--").arg(dir).output();
    let output = rm().await?;
    if output.status.success() {
        return Ok(());
    }
    // As an ordinary user: folders the guest closed to itself are closed to us too.
    let chmod = Command::new("chmod").arg("-R").arg("u+rwX").arg("--").arg(dir).output();
    chmod.await?;
    let output = rm().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Child;

    use browserd_protocol::GENERATION;

    use super::*;

    fn sleeper() -> (Child, LedgerProcess) {
        let child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        (child, LedgerProcess { pid, start_ticks: proc::start_ticks(pid).unwrap() })
    }

    fn entry(shim: LedgerProcess, guest: Option<LedgerProcess>) -> LedgerEntry {
        LedgerEntry {
            generation: GENERATION,
            session_id: SessionId::generate(),
            shim_pid: shim.pid,
            shim_start_ticks: shim.start_ticks,
            guest,
            cgroups: Vec::new(),
        }
    }

    #[tokio::test]
    async fn ends_a_guest_that_outlived_its_shim_and_nobody_else() {
        let (mut shim, mut known_shim) = sleeper();
        let (mut guest, known_guest) = sleeper();
        // The shim's number is another process's by now.
        known_shim.start_ticks -= 1;
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("session");
        std::fs::create_dir(&dir).unwrap();
        let entry = serde_json::to_vec(&entry(known_shim, Some(known_guest))).unwrap();
        std::fs::write(dir.join(file::LEDGER), entry).unwrap();
        clear_leftover(&dir).await.unwrap();
        assert!(!dir.exists());
        assert_eq!(guest.wait().unwrap().signal(), Some(9));
        assert!(shim.try_wait().unwrap().is_none(), "another process is left alone");
        shim.kill().unwrap();
        shim.wait().unwrap();
    }

    #[test]
    fn lines_of_a_shim_are_read() {
        let line = r#"{"timestamp":"t","level":"INFO","message":"over","target":"x","pid":7,"why":"a \"b\""}"#;
        let record = Record::read(line);
        assert_eq!(
            (record.timestamp.as_deref(), record.level.as_deref()),
            (Some("t"), Some("INFO"))
        );
        assert_eq!(record.message, r#"over pid=7 why="a \"b\"""#);
        // Text, and what a tail begins with in the middle.
        for line in ["t INFO over pid=7", r#"el":"INFO"}"#, "[]", ""] {
            assert_eq!(Record::read(line).message, line);
        }
    }

    #[test]
    fn an_entry_of_before_there_was_a_guest_is_read() {
        let nobody = LedgerProcess { pid: 0, start_ticks: 0 };
        let mut old = serde_json::to_value(entry(nobody, None)).unwrap();
        old.as_object_mut().unwrap().remove("guest");
        let read: LedgerEntry = serde_json::from_value(old).unwrap();
        assert_eq!(read.guest, None);
    }
}
