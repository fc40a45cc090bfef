//! Clearing away a session by its ledger entry, whether its shim still lives or not.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use browserd_protocol::{LedgerEntry, file};
use browserd_sandbox::{cgroup, proc};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::process::Command;

use super::rescue;

/// Bytes of a shim's log worth showing.
const LOG_TAIL: u64 = 4096;

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
    for line in tail().unwrap_or_default().lines() {
        tracing::warn!(dir = %dir.display(), "session log: {line}");
    }
}

/// Ends whatever is left of the session in `dir`, moves its recordings out and removes the folder.
pub(super) async fn clear_leftover(dir: &Path) -> io::Result<()> {
    let entry = match std::fs::read(dir.join(file::LEDGER)) {
        Ok(text) => serde_json::from_slice::<LedgerEntry>(&text).ok(),
        Err(_) => None,
    };
    if let Some(entry) = entry {
        kill_shim(&entry);
        let cgroups: Vec<PathBuf> = entry.cgroups;
        tokio::task::spawn_blocking(move || cgroup::clear(&cgroups))
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
    }
    rescue::replays(dir);
    remove_folder(dir).await
}

/// Kills the shim of an entry, unless the pid means another process by now. Its session dies with
/// it: PID 1 inside asked for that.
fn kill_shim(entry: &LedgerEntry) {
    let Some(pid) = Pid::from_raw(entry.shim_pid) else { return };
    // The descriptor first, then the question who it is: it cannot change hands in between.
    let Ok(fd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if proc::start_ticks(entry.shim_pid).is_ok_and(|ticks| ticks == entry.shim_start_ticks) {
        let _ = pidfd_send_signal(&fd, Signal::KILL);
    }
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
