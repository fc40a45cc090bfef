//! A session's folder, and what in it is for the next `serve`.

use std::path::PathBuf;

use browserd_api::SessionId;
use serde::{Deserialize, Serialize};

/// Names of the files in a session's folder.
pub mod file {
    /// The shim's control socket.
    pub const SHIM_SOCK: &str = "shim.sock";
    /// The guest's HTTP socket.
    pub const GUEST_SOCK: &str = "guest.sock";
    /// The descriptor-passing socket: connections to Chromium, and open files.
    pub const HANDOFF_SOCK: &str = "fd.sock";
    /// The ledger entry, a [`crate::LedgerEntry`].
    pub const LEDGER: &str = "ledger.json";
    /// Log of the shim and, until it serves logs itself, of the guest.
    pub const SHIM_LOG: &str = "shim.log";
}

/// What the next `serve` needs to find or clear away a session; written by the shim before it
/// starts anything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// [`GENERATION`](crate::GENERATION) of the shim.
    pub generation: u32,
    /// The session.
    pub session_id: SessionId,
    /// The shim's pid, with its start time (clock ticks since boot) against reuse.
    pub shim_pid: i32,
    /// Field 22 of /proc/PID/stat.
    pub shim_start_ticks: u64,
    /// PID 1 of the session, once there is one: with it ends all that is inside, also where no
    /// cgroup holds it together.
    #[serde(default)]
    pub guest: Option<LedgerProcess>,
    /// Every cgroup folder of the session, v2 first.
    pub cgroups: Vec<PathBuf>,
}

/// A process for the next `serve` to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerProcess {
    /// Its pid as the host sees it.
    pub pid: i32,
    /// Field 22 of /proc/PID/stat.
    pub start_ticks: u64,
}
