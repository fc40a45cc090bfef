//! Taking a connected socket from the guest: the receiving half of `door.sock`.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use browserd_protocol::{Door, HandoffReply, LINE_LIMIT};
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketType, recvmsg,
};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;

/// How long the guest may take: it waits up to 30 s for a Chromium that is starting again.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// Asks for a connection and answers with it. What comes is the guest's word: the line is bounded
/// in length and time, and the descriptor must be a TCP socket that is connected to a loopback
/// address.
pub(super) async fn open(
    path: &Path,
    door: Door,
) -> io::Result<(HandoffReply, std::net::TcpStream)> {
    match tokio::time::timeout(ANSWER_WITHIN, ask(path, door)).await {
        Ok(answer) => answer,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the guest did not answer within {} s", ANSWER_WITHIN.as_secs()),
        )),
    }
}

async fn ask(path: &Path, door: Door) -> io::Result<(HandoffReply, std::net::TcpStream)> {
    let mut socket = UnixStream::connect(path).await?;
    socket.write_all(&[door as u8]).await?;
    answer(&socket).await
}

/// The guest's answer on `socket`.
pub(super) async fn answer(socket: &UnixStream) -> io::Result<(HandoffReply, std::net::TcpStream)> {
    let mut line = Vec::new();
    let mut fd: Option<OwnedFd> = None;
    while line.last() != Some(&b'\n') {
        if line.len() > LINE_LIMIT {
            return Err(io::Error::other("the guest's answer has no end"));
        }
        let (bytes, passed) = socket.async_io(Interest::READABLE, || receive(socket)).await?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.extend_from_slice(&bytes);
        fd = fd.or(passed);
    }
    let reply: HandoffReply = serde_json::from_slice(&line)?;
    match fd {
        Some(fd) if reply.ok => {
            let tcp = socket_type(&fd)? == SocketType::STREAM
                && matches!(socket_domain(&fd)?, AddressFamily::INET | AddressFamily::INET6);
            let stream = std::net::TcpStream::from(fd);
            // A socket that is not connected has no peer: an error.
            if tcp && stream.peer_addr()?.ip().is_loopback() {
                Ok((reply, stream))
            } else {
                Err(io::Error::other("the guest passed something that is no TCP connection"))
            }
        }
        _ => Err(io::Error::other(reply.error)),
    }
}

fn receive(socket: &UnixStream) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut buffer = [0u8; 1024];
    let received = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut buffer)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    )?;
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    Ok((buffer[..received.bytes].to_vec(), fd))
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixListener;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    /// Opens a door behind which a guest answers one caller with `line` and a descriptor.
    async fn opened(line: &str, fd: Option<OwnedFd>) -> io::Result<std::net::TcpStream> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("door.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let line = line.to_owned();
        let guest = std::thread::spawn(move || {
            let (mut caller, _) = listener.accept().unwrap();
            caller.read_exact(&mut [0]).unwrap();
            let fds: Vec<_> = fd.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() {
                ancillary.push(SendAncillaryMessage::ScmRights(&fds));
            }
            // In two parts, as a stream may come.
            let (first, second) = line.as_bytes().split_at(line.len() / 2);
            let first = [IoSlice::new(first)];
            sendmsg(&caller, &first, &mut ancillary, SendFlags::NOSIGNAL).unwrap();
            let _ = caller.write_all(second);
        });
        let answer = open(&path, Door::Cdp).await.map(|(_, stream)| stream);
        guest.join().unwrap();
        answer
    }

    const OK: &str = "{\"ok\":true,\"host\":\"127.0.0.1:1\",\"browser_path\":\"/x\"}\n";

    #[tokio::test]
    async fn a_connected_socket_arrives() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let port = near.local_addr().unwrap().port();
        let passed = opened(OK, Some(near.into())).await.unwrap();
        assert_eq!(passed.local_addr().unwrap().port(), port);
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(opened(OK, Some(listener.into())).await.is_err());
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(opened(OK, Some(file.into())).await.is_err());
        assert!(opened(OK, None).await.is_err());
        assert!(opened("{\n", None).await.is_err());
        let refused = opened("{\"ok\":false,\"error\":\"gone\"}\n", None).await.unwrap_err();
        assert_eq!(refused.to_string(), "gone");
    }

    #[tokio::test]
    async fn an_answer_without_end_is_refused() {
        let endless = "x".repeat(LINE_LIMIT * 4);
        let error = opened(&endless, None).await.unwrap_err();
        assert!(error.to_string().contains("no end"), "{error}");
    }
}
