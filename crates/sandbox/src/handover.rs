//! Descriptors from a child that raises walls to its parent, or why there are none.

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

/// Most descriptors sent at once.
const MOST: usize = 3;

/// Most bytes that say why something is missing.
const WHY_LIMIT: usize = 512;

/// Sends descriptors to the parent, and why others are missing. There are 1 to [`MOST`].
pub(crate) fn send(
    socket: &UnixStream,
    fds: &[BorrowedFd<'_>],
    missing: Option<&WallError>,
) -> io::Result<()> {
    let mut why = missing.map(untold).unwrap_or_default();
    why.truncate(why.floor_char_boundary(WHY_LIMIT - 1));
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(fds));
    let parts = [IoSlice::new(b"l"), IoSlice::new(why.as_bytes())];
    sendmsg(socket, &parts, &mut control, SendFlags::empty())?;
    Ok(())
}

/// The child's first descriptor, the others, and why some may be missing; or what it says went wrong before it got
/// there. `step` is for one that is gone without a word.
pub(crate) fn receive(
    socket: &mut UnixStream,
    step: &str,
) -> Result<(OwnedFd, Vec<OwnedFd>, WallError), WallError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut said = [0u8; WHY_LIMIT];
    let received =
        recvmsg(&*socket, &mut [IoSliceMut::new(&mut said)], &mut control, RecvFlags::CMSG_CLOEXEC)
            .step(step)?;
    let mut fds = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten();
    let said = said.get(..received.bytes).unwrap_or_default();
    match fds.next() {
        Some(first) => {
            let why = String::from_utf8_lossy(said.get(1..).unwrap_or_default());
            Ok((first, fds.collect(), told(&why)))
        }
        None if said.is_empty() => Err(WallError::new(
            step,
            io::Error::new(io::ErrorKind::UnexpectedEof, "the child died before it was ready"),
        )),
        None => {
            let mut why = String::from_utf8_lossy(said).into_owned();
            let _ = socket.take(4096).read_to_string(&mut why);
            Err(told(&why))
        }
    }
}

/// Tells the parent what went wrong.
pub(crate) fn tell(mut socket: &UnixStream, error: &WallError) {
    let _ = socket.write_all(untold(error).as_bytes());
}

/// An error in a form that can be sent.
fn untold(error: &WallError) -> String {
    format!("{} {}", error.source.raw_os_error().unwrap_or(libc::EIO), error.step)
}

/// What a child told.
pub(crate) fn told(why: &str) -> WallError {
    let (code, step) = why.split_once(' ').unwrap_or(("5", why));
    WallError::new(step, io::Error::from_raw_os_error(code.parse().unwrap_or(libc::EIO)))
}
