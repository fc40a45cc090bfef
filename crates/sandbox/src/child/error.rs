//! Why a process could not be started.

use std::fmt;
use std::io;

/// The step of a start that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Something in the request cannot be passed to the kernel (too many fds, for example).
    Prepare = 1,
    /// The new process could not be made: limits, memory, or the cgroup.
    Clone,
    /// A session of its own.
    Session,
    /// The controlling terminal.
    Terminal,
    /// Standard streams and passed descriptors.
    Descriptors,
    /// Resource limits.
    Limits,
    /// Groups, gid and uid.
    Identity,
    /// Capabilities and `no_new_privs`.
    Privileges,
    /// The working directory.
    WorkingDirectory,
    /// The program itself.
    Program,
    /// The supervisor that keeps the tree together.
    Supervisor,
}

impl Stage {
    pub(super) const fn from_u8(value: u8) -> Self {
        match value {
            2 => Self::Clone,
            3 => Self::Session,
            4 => Self::Terminal,
            5 => Self::Descriptors,
            6 => Self::Limits,
            7 => Self::Identity,
            8 => Self::Privileges,
            9 => Self::WorkingDirectory,
            10 => Self::Program,
            11 => Self::Supervisor,
            _ => Self::Prepare,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prepare => "preparing the start",
            Self::Clone => "making the process",
            Self::Session => "making its session",
            Self::Terminal => "taking its terminal",
            Self::Descriptors => "arranging its descriptors",
            Self::Limits => "setting its limits",
            Self::Identity => "becoming its user",
            Self::Privileges => "dropping privileges",
            Self::WorkingDirectory => "entering its working directory",
            Self::Program => "executing the program",
            Self::Supervisor => "starting its supervisor",
        })
    }
}

/// A start that failed; nothing of it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {}", io::Error::from_raw_os_error(*errno))]
pub struct LaunchError {
    /// Where it failed.
    pub stage: Stage,
    /// What the kernel said.
    pub errno: i32,
}

impl LaunchError {
    pub(super) fn new(stage: Stage, errno: i32) -> Self {
        Self { stage, errno }
    }

    /// The kernel's words, without the number.
    #[must_use]
    pub fn os_text(&self) -> String {
        let text = io::Error::from_raw_os_error(self.errno).to_string();
        text.split(" (os error").next().unwrap_or_default().to_owned()
    }

    /// The same as an [`io::Error`], for callers that only pass it on.
    #[must_use]
    pub fn to_io(&self) -> io::Error {
        io::Error::new(
            io::Error::from_raw_os_error(self.errno).kind(),
            format!("{}: {}", self.stage, self.os_text()),
        )
    }
}
