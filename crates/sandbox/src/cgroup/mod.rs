//! A session's cgroups: one tree to count, limit and kill everything it is.
//!
//! ```text
//!  v2    <place>/<parent>/<session>/        cgroup.kill here ends shim and inside alike
//!                          ├─ shim/         the shim; memory.max
//!                          └─ inside/       memory.max, pids.max, cpu.*, how many groups
//!                              └─ own/      delegated: root of the session's cgroup namespace
//!                                  ├─ init/ the guest
//!                                  └─ …     the guest's leaves: chromium, one a process
//!  v1    <own>/<parent>/<session>/          memory, pids, cpu: limits on a hybrid host, where
//!                                           the v2 tree has no controllers but tracks and kills
//! ```
//!
//! Limits stand one level above what the session owns, because without root outside it runs under
//! the uid that made them.
//!
//! Which of the two enforces a limit depends on the host; [`Hierarchies::detect`] and
//! [`prepare_parent`] find out.

mod allowance;
mod clear;
mod hierarchies;
mod parent;
mod running;
mod session;

use std::fs;
use std::io;
use std::path::Path;

use crate::WallError;
use crate::error::Step;

pub use allowance::Allowance;
pub use clear::clear;
pub use hierarchies::Hierarchies;
pub use parent::{Trial, children, prepare_parent, remove_parent, trial};
pub use running::Controls;
pub use session::{Limits, Session};

/// Turns memory and pids on for the children of `folder`, and cpu where it can be had.
fn enable_controllers(folder: &Path) -> io::Result<()> {
    let file = folder.join("cgroup.subtree_control");
    fs::write(&file, "+memory +pids")?;
    // Without cpu a session has no weight and no bound, which `doctor` says.
    let _ = fs::write(&file, "+cpu");
    Ok(())
}

/// The controllers in a file that lists them.
fn controllers(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

fn make_folder(folder: &Path) -> Result<(), WallError> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(WallError::new(format!("create cgroup {}", folder.display()), error))
        }
        _ => Ok(()),
    }
}

fn remove_folder(folder: &Path) -> Result<(), WallError> {
    match fs::remove_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(WallError::new(format!("remove cgroup {}", folder.display()), error))
        }
        _ => Ok(()),
    }
}

fn write(file: &Path, text: &str) -> Result<(), WallError> {
    fs::write(file, text).step(format!("write {text:?} to {}", file.display()))
}

/// The number behind `name` in a flat keyed file; 0 where there is none.
fn counter(file: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}
