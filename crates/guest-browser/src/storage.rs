//! Chromium's storage process: having it let go of what it has open, and having it write down what it was told.
//!
//! Local Storage is open from the start, in a process of its own. When that process is killed Chromium
//! starts another at once, which opens it again; no client is told, and pages go on. So that what is put in its
//! place is what the next one opens, the process is stopped first:
//!
//! ```text
//!  hold: stopped, none of its threads runs ─▶ folders exchanged ─▶ let_go: killed ─▶ the next one opens the new
//!                                                   └─ dropped: it goes on
//! ```

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use browserd_guest_session::procfs::{self, Thread};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Running;

/// What the command line of the storage process has.
const STORAGE: &[u8] = b"--utility-sub-type=storage.mojom.StorageService";
/// What the command line of a renderer has.
const RENDERER: &[u8] = b"--type=renderer";
/// How long a killed process may take to be gone.
const GONE_WITHIN: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// How long the storage process may take to be there and to stop; mostly it takes no time at all.
const HELD_WITHIN: Duration = Duration::from_secs(5);
/// How often is looked how far a process is.
const LOOKED_EVERY: Duration = Duration::from_millis(2);

/// A process of Chromium's.
struct Process {
    pid: i32,
    handle: OwnedFd,
}

impl Process {
    fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// The storage process, stopped. Goes on when this is dropped.
pub struct HeldStorage(Vec<Process>);

impl Drop for HeldStorage {
    fn drop(&mut self) {
        for process in &self.0 {
            let _ = process.signal(Signal::CONT);
        }
    }
}

impl HeldStorage {
    /// Ends it. Chromium starts another, which opens what is there by then.
    pub async fn let_go(mut self) -> io::Result<()> {
        kill_all(std::mem::take(&mut self.0)).await
    }
}

/// Stops the process that has Local Storage open: nothing reads or writes it when this answers.
pub async fn hold(chromium: &Running) -> io::Result<HeldStorage> {
    let held = async {
        loop {
            let held = HeldStorage(processes(chromium, STORAGE)?);
            held.0.iter().try_for_each(|process| process.signal(Signal::STOP))?;
            let mut stopped = false;
            for process in &held.0 {
                // One that has ended instead is replaced by another.
                stopped |= !until(process.pid, |thread| thread.state == 'T').await.is_empty();
            }
            if stopped {
                return Ok(held);
            }
            // Chromium always has one, or is just starting it.
            tokio::time::sleep(LOOKED_EVERY).await;
        }
    };
    let held = tokio::time::timeout(HELD_WITHIN, held).await;
    held.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Has all pages of Chromium that were told to close let go of Local Storage, and waits until all they kept
/// there is in its files.
///
/// What a page puts into Local Storage is in the memory of the storage process at first, for up to a
/// minute; it is written when no renderer has that site's part open any more. A Chromium that exits does not wait for
/// that, and the storage process ends with it, whatever it has still to do. So renderers are killed, which
/// closes what they had open, and the storage process is watched until it has nothing left to do.
pub(super) async fn flush(chromium: &Running) -> io::Result<()> {
    kill_all(processes(chromium, RENDERER)?).await?;
    for storage in processes(chromium, STORAGE)? {
        let mut before = Vec::new();
        loop {
            // Twice the same: nothing ran between.
            let now = until(storage.pid, |thread| thread.state == 'S').await;
            if now == before {
                break;
            }
            before = now;
        }
    }
    Ok(())
}

/// Waits until all threads of a process are what is wanted, or it is gone; answers them.
async fn until(pid: i32, wanted: impl Fn(&Thread) -> bool) -> Vec<Thread> {
    loop {
        let threads = procfs::threads(pid);
        if threads.iter().all(&wanted) {
            return threads;
        }
        tokio::time::sleep(LOOKED_EVERY).await;
    }
}

/// The processes of Chromium with `argument`: among those it has started, so that no program of a client is
/// taken for one. (What program a process runs is not for the guest to see: it may not trace Chromium.
/// Chromium's own list lacks those it has started just now.)
fn processes(chromium: &Running, argument: &[u8]) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    for pid in procfs::descendants(chromium.pid) {
        let Some(raw) = Pid::from_raw(pid) else { continue };
        // Opened before it is looked at: what is looked at is what is killed.
        let handle = match pidfd_open(raw, PidfdFlags::NONBLOCK) {
            Ok(handle) => handle,
            Err(Errno::SRCH) => continue,
            Err(errno) => return Err(errno.into()),
        };
        if procfs::has_argument(pid, argument) {
            found.push(Process { pid, handle });
        }
    }
    Ok(found)
}

/// Kills processes and waits for their end.
async fn kill_all(processes: Vec<Process>) -> io::Result<()> {
    processes.iter().try_for_each(|process| process.signal(Signal::KILL))?;
    let wait_all = move || processes.iter().try_for_each(|process| wait(&process.handle));
    tokio::task::spawn_blocking(wait_all).await.map_err(io::Error::other)?
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
        let handle = pidfd_open(pid, PidfdFlags::NONBLOCK).unwrap();
        let pid = pid.as_raw_nonzero().get();
        kill_all(vec![Process { pid, handle }]).await.unwrap();
        assert!(child.try_wait().unwrap().is_some());
        assert!(line().is_empty());
    }
}
