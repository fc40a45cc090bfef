//! A descriptor from a child that raises walls to its parent, or why there is none.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::WallError;
use crate::error::Step;

/// Sends a descriptor to the parent.
pub(crate) fn send(socket: &UnixStream, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(socket, &[IoSlice::new(b"l")], &mut control, SendFlags::empty())?;
    Ok(())
}

/// The child's descriptor, or what it says went wrong before it got there. `step` is for one that is
/// gone without a word.
pub(crate) fn receive(socket: &mut UnixStream, step: &str) -> Result<OwnedFd, WallError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut first = [0u8; 1];
    let received = recvmsg(
        &*socket,
        &mut [IoSliceMut::new(&mut first)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .step(step)?;
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    match fd {
        Some(fd) => Ok(fd),
        None if received.bytes == 0 => Err(WallError::new(
            step,
            io::Error::new(io::ErrorKind::UnexpectedEof, "the child died before it was ready"),
        )),
        None => {
            let mut why = String::from(char::from(first[0]));
            let _ = socket.take(4096).read_to_string(&mut why);
            Err(told(&why))
        }
    }
}

/// Tells the parent what went wrong.
pub(crate) fn tell(mut socket: &UnixStream, error: &WallError) {
    let code = error.source.raw_os_error().unwrap_or(libc::EIO);
    let _ = socket.write_all(format!("{code} {}", error.step).as_bytes());
}

/// What a child told.
pub(crate) fn told(why: &str) -> WallError {
    let (code, step) = why.split_once(' ').unwrap_or(("5", why));
    WallError::new(step, io::Error::from_raw_os_error(code.parse().unwrap_or(libc::EIO)))
}
