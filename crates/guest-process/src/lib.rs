//! Processes inside the session: `exec`, `spawn`, and everything about what was spawned.
//!
//! Owns the table of spawned processes, their output, their groups, and the routes below
//! `/process`. Knows nothing of Chromium.
//!
//! ```text
//!  spawn ─▶ Plan ─▶ Group (leaf cgroup or supervised tree) ─▶ running ──exit──▶ exited
//!              400          │            pump ─▶ spool ─▶ readers     (status kept, output kept)
//!                           └─ sampler, status, kill, stdin, resize
//! ```

mod attach;
mod budget;
mod cpu;
mod exec;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod group;
mod input;
mod kill;
mod list;
mod output_body;
mod path;
mod pump;
mod registry;
mod request;
mod resize;
mod routes;
mod spawn;
mod spool;
mod status;
mod stdin;
mod stream;
mod terminal;
mod wait;

use std::os::fd::OwnedFd;

use browserd_api::process::ProcessState;
use browserd_api::{ProcessId, Timestamp};
use browserd_guest_session::ExitStatus;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use group::{Group, Groups};
pub use registry::Processes;
pub use routes::routes;
pub use spool::Retention;

/// How a process ended.
#[derive(Debug, Clone, Copy)]
struct End {
    exit_code: i32,
    at: Timestamp,
}

/// The end of a process, known or to come.
#[derive(Debug, Clone)]
struct Ending(watch::Receiver<Option<End>>);

impl Ending {
    fn now(&self) -> Option<End> {
        *self.0.borrow()
    }

    async fn wait(&self) {
        let _ = self.0.clone().wait_for(Option::is_some).await;
    }
}

/// A spawned process. Its record outlives it.
struct Process {
    id: ProcessId,
    pid: i32,
    /// What was asked to run, cut to a bounded length.
    command: String,
    args: Vec<String>,
    started_at: Timestamp,
    /// Known from the moment it was reaped, when its pid is free for others.
    exit: watch::Receiver<Option<ExitStatus>>,
    /// Known once its output has been read too.
    ending: Ending,
    /// What holds it and its descendants; `None` once it has exited.
    group: Mutex<Option<group::Group>>,
    window: Mutex<cpu::Window>,
    input: input::Input,
    /// Whether it has a terminal.
    tty: bool,
    /// The guest's end of its terminal, for resizing; `None` once it has exited.
    terminal: Mutex<Option<OwnedFd>>,
    output: spool::Output,
}

impl Process {
    fn state(&self) -> ProcessState {
        match self.ending.now() {
            Some(_) => ProcessState::Exited,
            None => ProcessState::Running,
        }
    }
}
