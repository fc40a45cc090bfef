//! The walls of a session: namespaces, mounts, cgroups, seccomp, and the start of processes.
//!
//! Owns every `unsafe` block of the project. Knows no HTTP, no Chromium and no async runtime: it is
//! called from the shim before its runtime starts (single-threaded, so that forking is sound) and
//! from the guest to start processes.
//!
//! ```text
//!  shim (host) ── uids::lease ─▶ cgroup::Session ─▶ walls::raise ──clone3──▶ PID 1
//!                                                                            │ root::build, pivot_root
//!                                                                            │ userns, caps, seccomp
//!                                                                            ▼ exec browserd guest
//! ```

mod budgets;
pub mod cgroup;
pub mod child;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod handover;
mod layers;
pub mod leaf;
pub mod network;
mod plain;
pub mod proc;
mod procfs;
mod root;
mod seccomp;
pub mod skeleton;
mod sys;
pub mod uids;
pub mod usage;
mod userns;
pub mod walls;

pub use error::WallError;
pub use plain::is_plain;
pub use sys::merge_memory;
