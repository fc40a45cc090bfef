//! Reaping children, and taking over inherited descriptors.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// A child that has ended and is gone now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// Its pid, free for reuse from now on.
    pub pid: i32,
    /// Its wait status as the kernel encodes it.
    pub wait_status: i32,
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
    loop {
        // SAFETY: the status is a live local; what the child used is not asked for.
        let result =
            unsafe { libc::wait4(pid, &raw mut wait_status, options, std::ptr::null_mut()) };
        match result {
            0 => return None,
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return None,
            pid => return Some(Reaped { pid, wait_status }),
        }
    }
}

/// Which of the numbers 0 to 63 have been adopted, a bit each.
static ADOPTED: AtomicU64 = AtomicU64::new(0);

/// Takes over a descriptor this process was started with, by its agreed number, and keeps it from
/// its own children. Works once for each number.
///
/// # Errors
///
/// When no such descriptor is open, or it is not one this process was started with: those are not
/// close-on-exec, and those this program opens are.
pub fn adopt_fd(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes a number, no pointer.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    let bit = match number {
        3..=63 if flags & libc::FD_CLOEXEC == 0 => 1u64 << number,
        _ => return Err(io::Error::other("not a descriptor this process was started with")),
    };
    if ADOPTED.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return Err(io::Error::other("the descriptor has been adopted already"));
    }
    // SAFETY: takes a number and a flag, no pointer.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open and was inherited, as the missing flag says, so no value of this program
    // was made for it; and the table says that this is the only one ever to be.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn adopts_what_was_inherited_and_once() {
        let ours = std::fs::File::open("/dev/null").unwrap();
        assert!(adopt_fd(ours.as_raw_fd()).is_err(), "opened by this program");
        assert!(adopt_fd(0).is_err(), "the standard streams have their owner");
        assert!(adopt_fd(63).is_err(), "not open");
        // As a parent would leave it.
        let number = 61;
        crate::sys::place_fd(std::os::fd::AsFd::as_fd(&ours), number).unwrap();
        let adopted = adopt_fd(number).unwrap();
        assert!(adopt_fd(number).is_err());
        drop(adopted);
        crate::sys::place_fd(std::os::fd::AsFd::as_fd(&ours), number).unwrap();
        assert!(adopt_fd(number).is_err(), "a number is good for one");
    }
}
