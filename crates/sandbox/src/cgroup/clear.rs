//! Ending what is in a cgroup, and removing it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::{counter, remove_folder, write};
use crate::WallError;

/// How long killed processes may take to be gone. One that waits for a device that does not answer (state D)
/// takes no signal until it does.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// Clears away a session's cgroups, given as in [`super::Session::places`]: kills what is in them,
/// waits for it to be gone and removes them. Missing ones are fine. Not for the shim itself, which
/// is in the first.
pub fn clear(folders: &[PathBuf]) -> Result<(), WallError> {
    for folder in folders.iter().filter(|folder| folder.exists()) {
        if folder.join("cgroup.kill").exists() {
            kill_and_wait(folder)?;
        }
        remove_tree(folder)?;
    }
    Ok(())
}

/// Removes a cgroup and its children, deepest first.
fn remove_tree(folder: &Path) -> Result<(), WallError> {
    let children = match fs::read_dir(folder) {
        Ok(children) => children,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(WallError::new(format!("list {}", folder.display()), error)),
    };
    for child in children.flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&child.path())?;
        }
    }
    remove_folder(folder)
}

/// Kills what is in a cgroup and waits for it to be gone; an error when it takes too long.
pub(super) fn kill_and_wait(folder: &Path) -> Result<(), WallError> {
    kill_and_wait_within(folder, GONE_WITHIN)
}

fn kill_and_wait_within(folder: &Path, limit: Duration) -> Result<(), WallError> {
    let events = folder.join("cgroup.events");
    let file = match fs::File::open(&events) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(WallError::new(format!("open {}", events.display()), error)),
    };
    write(&folder.join("cgroup.kill"), "1")?;
    let began = Instant::now();
    while counter(&events, "populated") != 0 {
        if began.elapsed() > limit {
            let step = format!("wait for the killed processes of {} to end", folder.display());
            return Err(WallError::new(step, io::Error::from(io::ErrorKind::TimedOut)));
        }
        // The kernel raises POLLPRI on every change of the file (cgroup-v2.rst, "cgroup.events").
        // The bound only guards against an event between the read and the poll.
        let bound = rustix::event::Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
        let mut fds = [PollFd::new(&file, PollFlags::PRI)];
        match poll(&mut fds, Some(&bound)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(WallError::new("wait for the cgroup to empty", error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_do_not_end_are_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        file("cgroup.kill", "");
        file("cgroup.events", "populated 1\nfrozen 0\n");
        let error = kill_and_wait_within(folder.path(), Duration::ZERO).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::TimedOut);
        file("cgroup.events", "populated 0\nfrozen 0\n");
        kill_and_wait_within(folder.path(), Duration::ZERO).unwrap();
    }
}
