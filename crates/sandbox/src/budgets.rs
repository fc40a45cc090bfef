//! What the kernel counts for a user and keeps no cgroup for: a share of it for each session.
//!
//! ```text
//!  host          uid 0 ── serve, shims        the operator's own counts
//!   ├─ uid base A ◀── charged ── user namespace of session A: its users, and what they nest
//!   └─ uid base B ◀── charged ── user namespace of session B
//! ```
//!
//! Every count of a user namespace is also one of the user who made it, with that user's limit
//! (kernel/ucount.c). So a session's namespace is made by a uid of the session's own ([`crate::userns`]):
//! what it uses up is its own. As an ordinary user there is one uid for all, and a share of its limits
//! for each session.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::WallError;
use crate::error::Step;

/// Signals and POSIX timers that wait, those of all processes of a user together.
const PENDING: u64 = 8192;
/// Bytes in POSIX message queues: what the kernel gives a user.
const QUEUED: u64 = 819_200;
/// Bytes of locked shared memory: what the kernel gives a user.
const LOCKED: u64 = 8 << 20;

/// Whose counts the session's are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counts {
    /// The session's alone.
    Own,
    /// The caller's, with all that is his.
    Shared,
}

/// Limits this process and all it starts in what is counted for its user, and every user namespace
/// it makes.
pub(crate) fn limit(counts: Counts) -> Result<(), WallError> {
    let limits = [
        (Resource::Sigpending, PENDING, "limit pending signals"),
        (Resource::Msgqueue, QUEUED, "limit message queues"),
        (Resource::Memlock, LOCKED, "limit locked memory"),
        // Not counted, but the host's processors: nothing inside goes before what is outside.
        (Resource::Rtprio, 0, "forbid real-time priorities"),
        (Resource::Nice, 0, "forbid higher priorities"),
    ];
    for (resource, most, step) in limits {
        // A hard limit cannot be raised by everyone.
        let hard = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let most = Some(most.min(match counts {
            Counts::Own => hard,
            Counts::Shared => hard / 4,
        }));
        setrlimit(resource, Rlimit { current: most, maximum: most }).step(step)?;
    }
    Ok(())
}

/// What may be in a session's user namespace, in all. Chromium makes a user and a network namespace for
/// its zygote and a pid namespace for each renderer. Other kinds nothing inside may make, also not by
/// `clone3`, whose flags the filter of system calls cannot see.
const NAMESPACES: [(&str, u64); 10] = [
    ("max_user_namespaces", 128),
    ("max_net_namespaces", 32),
    ("max_pid_namespaces", 4096),
    ("max_mnt_namespaces", 0),
    ("max_ipc_namespaces", 0),
    ("max_uts_namespaces", 0),
    ("max_cgroup_namespaces", 0),
    ("max_time_namespaces", 0),
    ("max_fanotify_groups", 0),
    ("max_fanotify_marks", 0),
];

/// Limits what may be in the user namespace this process is in, where it needs `SYS_RESOURCE`. `knobs` is
/// /proc/sys, writable.
pub(crate) fn limit_namespace(knobs: BorrowedFd<'_>, counts: Counts) -> Result<(), WallError> {
    for (name, most) in NAMESPACES {
        write(knobs, name, most).step(format!("set user.{name}"))?;
    }
    if counts == Counts::Shared {
        // Those in one namespace are counted in the caller's too, which have the host's limit.
        for (name, host) in [
            ("max_inotify_instances", "fs/inotify/max_user_instances"),
            ("max_inotify_watches", "fs/inotify/max_user_watches"),
        ] {
            let most = read(knobs, host).step(format!("read {host}"))?;
            write(knobs, name, most / 2).step(format!("set user.{name}"))?;
        }
    }
    Ok(())
}

fn read(knobs: BorrowedFd<'_>, name: &str) -> io::Result<u64> {
    let file = openat(knobs, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    io::read_to_string(std::fs::File::from(file))?.trim().parse().map_err(io::Error::other)
}

/// Sets a limit of this process's user namespace; one the kernel does not know has nothing to count.
fn write(knobs: BorrowedFd<'_>, name: &str, most: u64) -> io::Result<()> {
    let path = format!("user/{name}");
    match openat(knobs, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => rustix::io::write(file.as_fd(), most.to_string().as_bytes())?,
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    Ok(())
}
