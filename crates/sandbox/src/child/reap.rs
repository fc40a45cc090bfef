//! Reaping children, and taking over inherited descriptors.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// What a process and the children it waited for used in their lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode, microseconds.
    pub user_usec: u64,
    /// CPU time in the kernel, microseconds.
    pub system_usec: u64,
    /// Largest resident set of any of them, bytes.
    pub max_rss_bytes: u64,
}

/// A child that has ended and is gone now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// Its pid, free for reuse from now on.
    pub pid: i32,
    /// Its wait status as the kernel encodes it.
    pub wait_status: i32,
    /// What it used.
    pub usage: Usage,
}

/// Reaps one ended child, any, without waiting; `None` when no child has ended.
#[must_use]
pub fn reap_any() -> Option<Reaped> {
    wait4(-1, libc::WNOHANG)
}

/// Waits for a child that is about to exit after a failed start.
pub(super) fn discard(pid: i32) {
    wait4(pid, 0);
}

fn wait4(pid: i32, options: i32) -> Option<Reaped> {
    let mut wait_status = 0;
    // SAFETY: rusage is plain numbers, for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live locals of the right types.
        let result = unsafe { libc::wait4(pid, &raw mut wait_status, options, &raw mut usage) };
        match result {
            0 => return None,
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return None,
            pid => return Some(Reaped { pid, wait_status, usage: Usage::from_kernel(&usage) }),
        }
    }
}

impl Usage {
    pub(super) fn from_kernel(usage: &libc::rusage) -> Self {
        let micros = |t: libc::timeval| {
            (t.tv_sec as u64).wrapping_mul(1_000_000).wrapping_add(t.tv_usec as u64)
        };
        Self {
            user_usec: micros(usage.ru_utime),
            system_usec: micros(usage.ru_stime),
            max_rss_bytes: (usage.ru_maxrss as u64).wrapping_mul(1024),
        }
    }
}

/// Takes over a descriptor this process was started with, by its agreed number, and keeps it from
/// its own children.
///
/// # Errors
///
/// When no such descriptor is open.
///
/// Call it once a number, at start, before anything else opens descriptors.
pub fn adopt_fd(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes a number and a flag, no pointer.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and by the contract of this function nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
