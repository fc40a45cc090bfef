//! Pseudo-terminals.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Gid, Uid};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// Both ends of a new pseudo-terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    /// The guest's end.
    pub(super) ours: OwnedFd,
    /// The process's end.
    pub(super) theirs: OwnedFd,
}

/// Opens a pseudo-terminal of the given size that belongs to `owner`.
///
/// # Errors
///
/// When the session has no more terminals.
pub(super) fn open(rows: u16, cols: u16, owner: Option<(u32, u32)>) -> io::Result<Terminal> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&ours)?;
    rustix::pty::unlockpt(&ours)?;
    let theirs = rustix::pty::ioctl_tiocgptpeer(&ours, flags)?;
    if let Some((uid, gid)) = owner {
        // Lets the process open its terminal by name; without it only the descriptors work.
        let _ = rustix::fs::fchown(&theirs, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    }
    resize(&ours, rows, cols)?;
    // Of the guest's end only; the flag belongs to the open file, so its duplicates have it too.
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok(Terminal { ours, theirs })
}

/// Sets the size; the kernel tells the foreground process group with SIGWINCH.
///
/// # Errors
///
/// When the terminal is gone.
pub(super) fn resize(terminal: impl AsFd, rows: u16, cols: u16) -> io::Result<()> {
    let size = Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}
