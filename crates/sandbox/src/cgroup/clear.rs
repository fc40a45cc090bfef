//! Ending what is in a cgroup, and removing it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};

use super::{counter, remove_folder, write};
use crate::WallError;

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

pub(super) fn kill_and_wait(folder: &Path) -> Result<(), WallError> {
    let events = folder.join("cgroup.events");
    let file = match fs::File::open(&events) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(WallError::new(format!("open {}", events.display()), error)),
    };
    write(&folder.join("cgroup.kill"), "1")?;
    while counter(&events, "populated") != 0 {
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
