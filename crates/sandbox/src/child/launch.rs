//! What to start, and how.

use std::ffi::{CStr, CString};
use std::os::fd::{OwnedFd, RawFd};

/// A user to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Where one of the three standard streams leads.
#[derive(Debug, Default)]
pub enum Input {
    /// `/dev/null`.
    #[default]
    Null,
    /// This descriptor.
    Fd(OwnedFd),
}

/// A resource limit, soft and hard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// Everything a start needs. The process always gets a session and process group of its own
/// (its group id is its pid), default signal dispositions, an empty signal mask, umask 022, no core
/// dumps, `no_new_privs`, and no descriptor that is not named here.
#[derive(Debug)]
pub struct Launch {
    /// Paths to try in this order, as `execvp` does for `PATH`; usually one.
    pub programs: Vec<CString>,
    /// Arguments, the name of the program first.
    pub argv: Vec<CString>,
    /// Environment, `NAME=value` each.
    pub envp: Vec<CString>,
    /// Working directory, entered as the new user.
    pub cwd: CString,
    /// The user to become; `None` keeps the caller's (needed where only one uid is mapped).
    pub ids: Option<Ids>,
    /// Keep the few capabilities that mean nothing outside the session's user namespace (change
    /// owners, override file permissions, become another user, signal anyone, low ports). Without
    /// it the process has none and cannot get any.
    pub root_caps: bool,
    /// Standard input.
    pub stdin: Input,
    /// Standard output.
    pub stdout: Input,
    /// Standard error.
    pub stderr: Input,
    /// Further descriptors and the numbers (3 and up) they get, such as Chromium's pipe on 3 and 4.
    pub extra_fds: Vec<(OwnedFd, RawFd)>,
    /// A terminal: becomes the controlling terminal and all three standard streams.
    pub tty: Option<OwnedFd>,
    /// Directory of the cgroup (v2) to be born in.
    pub cgroup: Option<OwnedFd>,
    /// Further resource limits.
    pub limits: Vec<Limit>,
}

impl Launch {
    /// A start of `program` with `argv[0]` set to it, nothing else, in `/`.
    #[must_use]
    pub fn new(program: CString) -> Self {
        Self {
            argv: vec![program.clone()],
            programs: vec![program],
            envp: Vec::new(),
            cwd: c"/".to_owned(),
            ids: None,
            root_caps: false,
            stdin: Input::Null,
            stdout: Input::Null,
            stderr: Input::Null,
            extra_fds: Vec::new(),
            tty: None,
            cgroup: None,
            limits: Vec::new(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<CStr>) -> Self {
        self.argv.push(arg.as_ref().to_owned());
        self
    }
}
