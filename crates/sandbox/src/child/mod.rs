//! Starting processes: from a fully prepared [`Launch`] to a running program, and reaping
//! them.
//!
//! Owns everything between `clone3` and `execve`. Keeps no table of children and knows no runtime:
//! the caller does.
//!
//! ```text
//!  guest (one thread)                          child, in the guest's memory, on its own stack part
//!    prepare: C strings, fd moves, masks
//!    block signals
//!    clone3(VM | VFORK | INTO_CGROUP) ────────▶ session, terminal, fds, limits
//!         │ suspended                            groups, gid, uid, capabilities, no_new_privs
//!         │                                      cwd, signals, execve ──▶ the program
//!         ◀── released by execve or exit ────────┘ (on failure: stage and errno, then exit)
//!    restore signals, answer
//! ```
//!
//! The child shares the guest's memory until `execve` (as `vfork` does), because copying page
//! tables costs more than the rest of a start together. So what runs in it makes raw system calls
//! on prepared data only: no allocation, no lock, no libc function, no panic.

mod error;
mod exec;
mod launch;
mod prepare;
mod raw;
mod reap;
mod start;
mod supervise;

pub use error::{LaunchError, Stage};
pub use launch::{Ids, Input, Launch, Limit};
pub use reap::{Reaped, adopt_fd, reap_any};
pub use start::start;
pub use supervise::{Supervised, SupervisorMemory, SupervisorReport, start_supervised};
