//! Making Chromium let go of the storage it has open.
//!
//! Local Storage is open from the start, in a process of its own. When that process is killed Chromium
//! starts another, which opens Local Storage when it is next used; no client is told, and pages go on. What
//! is put in its place meanwhile is what pages then find.

use std::io;
use std::os::fd::OwnedFd;

use browserd_chromium::cdp::{Cdp, CdpError};
use browserd_guest_session::procfs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// What the command line of that process has.
const STORAGE: &[u8] = b"--utility-sub-type=storage.mojom.StorageService";
/// How long a killed process may take to be gone.
const GONE_WITHIN: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Why Chromium has its storage open still.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Chromium refused it, or its pipe is closed.
    #[error(transparent)]
    Cdp(#[from] CdpError),
    /// The kernel refused to end the process.
    #[error("Chromium's storage process could not be ended: {0}")]
    Kill(#[from] io::Error),
}

/// Kills the process that has Local Storage open, and waits for its end. Where there is none, nothing is
/// open.
///
/// The process is looked for among those Chromium has in its books, so that no program inside is taken
/// for it whatever its command line says. (What program a process runs is not for the guest to see: it
/// may not trace Chromium.)
pub async fn release(cdp: &Cdp) -> Result<(), ReleaseError> {
    for pid in cdp.processes().await? {
        let Some(pid) = Pid::from_raw(pid).filter(|_| pid > 1) else { continue };
        // Opened before it is looked at: what is looked at is what is killed.
        let process = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(process) => process,
            Err(Errno::SRCH) => continue,
            Err(errno) => return Err(io::Error::from(errno).into()),
        };
        if procfs::has_argument(pid.as_raw_nonzero().get(), STORAGE) {
            kill(process).await?;
        }
    }
    Ok(())
}

async fn kill(process: OwnedFd) -> io::Result<()> {
    match pidfd_send_signal(&process, Signal::KILL) {
        Ok(()) => {}
        Err(Errno::SRCH) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    }
    tokio::task::spawn_blocking(move || wait(&process)).await.map_err(io::Error::other)?
}

/// Waits for the end of a process, and of all it had open; a few milliseconds, mostly.
fn wait(process: &OwnedFd) -> io::Result<()> {
    loop {
        let mut polled = [PollFd::new(process, PollFlags::IN)];
        match poll(&mut polled, Some(&GONE_WITHIN)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_killed_process_is_waited_for() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let line = || procfs::command_line(pid.as_raw_nonzero().get());
        assert!(line().starts_with(b"sleep\0") || line().is_empty());
        kill(pidfd_open(pid, PidfdFlags::NONBLOCK).unwrap()).await.unwrap();
        assert!(child.try_wait().unwrap().is_some());
        assert!(line().is_empty());
    }
}
