//! What there is to know about a host. No judgement: that is [`super::checks`].

use std::path::PathBuf;

use browserd_protocol::DiskReserve;
use browserd_sandbox::cgroup::Trial;

use super::fonts::Fonts;
use crate::programs::Search;

/// Everything the checks look at.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) distribution: Distribution,
    /// Whether we run as root.
    pub(crate) is_root: bool,
    pub(crate) kernel: Kernel,
    pub(crate) programs: Search,
    /// What `--version` says, or why it could not be asked.
    pub(crate) chromium_version: Result<String, String>,
    /// The same of what runs headless sessions in its place, when that was chosen.
    pub(crate) headless_shell_version: Option<Result<String, String>>,
    /// The same of chromedriver.
    pub(crate) chromedriver_version: Result<String, String>,
    /// The same of Node.
    pub(crate) node_version: Result<String, String>,
    /// Languages Chromium's interface is installed in (`en-US`, `fr`).
    pub(crate) languages: Vec<String>,
    /// The language sessions get that ask for none.
    pub(crate) locale: String,
    /// Fonts, and what they have letters for.
    pub(crate) fonts: Fonts,
    /// Whether the time zone database is there.
    pub(crate) time_zones: bool,
    pub(crate) namespaces: Namespaces,
    pub(crate) cgroups: Cgroups,
    pub(crate) disk: Disk,
    pub(crate) memory: Memory,
    /// Whether the kernel merges equal pages just now, when it is to; none: it cannot.
    pub(crate) merging: Option<Option<bool>>,
    /// Most sessions at once.
    pub(crate) max_sessions: u32,
}

/// Which package manager to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distribution {
    Debian,
    /// Its Chromium is a snap.
    Ubuntu,
    Fedora,
    Arch,
    Other,
}

#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    /// What `uname -r` says.
    pub(crate) release: String,
    /// Whether the kernel filters system calls.
    pub(crate) seccomp: bool,
    /// Whether overlays can be mounted.
    pub(crate) overlay: bool,
    /// `kernel.yama.ptrace_scope`.
    pub(crate) ptrace_scope: Option<u32>,
    /// Whether /dev/shm is a tmpfs, as it is where the kernel has it.
    pub(crate) shared_memory: bool,
}

/// What keeps users from making namespaces.
#[derive(Debug, Clone)]
pub(crate) struct Namespaces {
    /// `user.max_user_namespaces`.
    pub(crate) most: Option<u64>,
    /// `kernel.unprivileged_userns_clone`, a knob of Debian's.
    pub(crate) unprivileged_allowed: Option<bool>,
    /// `kernel.apparmor_restrict_unprivileged_userns`, a knob of Ubuntu's.
    pub(crate) apparmor_restricts: Option<bool>,
    /// What happened when an ordinary user tried, `Err` with the step and the error.
    pub(crate) tried: Result<(), String>,
    /// What happened when a session's network was tried, likewise.
    pub(crate) network: Result<(), String>,
}

/// Which control groups this process can make for sessions, as tried.
#[derive(Debug, Clone)]
pub(crate) struct Cgroups {
    /// Whether a v2 tree is mounted at all.
    pub(crate) v2_mounted: bool,
    /// What came of trying, or why nothing did.
    pub(crate) tried: Result<Trial, String>,
}

/// The filesystem of the state folder.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    pub(crate) state_dir: PathBuf,
    /// Bytes we may still write.
    pub(crate) free: Result<u64, String>,
    /// Whether it can hold the upper layer of an overlay, which an overlay itself cannot.
    pub(crate) is_overlay: bool,
    /// Whether we may write there, or make the folder.
    pub(crate) writable: bool,
    /// Bytes each session may have there; 0 is no limit.
    pub(crate) session_limit: u64,
    /// What is kept free of it, if anything is.
    pub(crate) reserve: Option<DiskReserve>,
}

/// Bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    pub(crate) available: u64,
    pub(crate) swap: u64,
}
