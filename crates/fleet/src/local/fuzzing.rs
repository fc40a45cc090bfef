//! The targets of this module.

use std::fs::File;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::LazyLock;

use browserd_protocol::{LINE_LIMIT, ShimReport};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::net::UnixStream;

use super::handoff;
use super::instance::REPORT_LIMIT;
use crate::fuzzing::input::cut;
use crate::fuzzing::pieces::{Pieces, messages};
use crate::fuzzing::runtime::block_on;
use crate::fuzzing::stretched::stretched;

/// Reports of a shim, which have words of the guest in them: each is understood as it was meant, and
/// a line without end is not gathered.
pub(crate) fn shim_report(data: &[u8]) {
    let (cut, data) = cut(data);
    let data = stretched(data, 6 * LINE_LIMIT);
    let pieces = Pieces { data: &data, most: cut };
    block_on(messages(pieces, REPORT_LIMIT, |report: ShimReport| {
        let again = serde_json::to_vec(&report).unwrap();
        assert_eq!(serde_json::from_slice::<ShimReport>(&again).unwrap(), report);
    }));
}

/// What a guest may pass: nothing, a socket that is not connected, a device, what `serve` asks for.
struct Passable {
    listener: TcpListener,
    device: File,
    connected: TcpStream,
    file: File,
}

static PASSABLE: LazyLock<Passable> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    Passable { listener, device: File::open("/dev/null").unwrap(), connected, file }
});

/// Most bytes of an answer, which a socket takes at once.
const MOST: usize = 100_000;

/// The guest's answer on the descriptor-passing socket: only a connected socket of a loopback address is taken, or a file
/// of the host's, only when the answer says so, and a line without end is not gathered.
pub(crate) fn handoff_reply(data: &[u8]) {
    let (kind, data) = cut(data);
    let data = stretched(data, MOST);
    let kind = kind % 5;
    let fd = match kind {
        1 => Some(PASSABLE.listener.as_fd()),
        2 => Some(PASSABLE.device.as_fd()),
        3 => Some(PASSABLE.connected.as_fd()),
        4 => Some(PASSABLE.file.as_fd()),
        _ => None,
    };
    let (ours, theirs) = StdStream::pair().unwrap();
    say(theirs, fd, &data);
    ours.set_nonblocking(true).unwrap();
    let answer = block_on(async { handoff::answer(&UnixStream::from_std(ours).unwrap()).await });
    if let Ok((reply, fd)) = answer {
        assert!(reply.ok && kind != 0, "{reply:?}");
        assert_eq!(handoff::plain(fd.try_clone().unwrap()).is_ok(), kind == 4);
        assert_eq!(handoff::connected(fd).is_ok(), kind == 3);
        assert!(data.len() <= LINE_LIMIT + 1024 || data[..=LINE_LIMIT + 1024].contains(&b'\n'));
    }
}

/// Writes `data` with `fd` attached to its first byte, and hangs up.
fn say(mut socket: StdStream, fd: Option<BorrowedFd<'_>>, data: &[u8]) {
    let Some((first, rest)) = data.split_at_checked(1) else { return };
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    }
    sendmsg(&socket, &[IoSlice::new(first)], &mut ancillary, SendFlags::NOSIGNAL).unwrap();
    socket.write_all(rest).unwrap();
}
