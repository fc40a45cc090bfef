//! Taking connected sockets and open files from the guest: the receiving half of `fd.sock`.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use browserd_protocol::{HandoffReply, HandoffRequest, LINE_LIMIT};
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketType, recvmsg,
};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;

/// How long the guest may take: it waits up to 30 s for a Chromium that is starting again.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// A connection to Chromium. What comes is the guest's word: the line is bounded in length and time,
/// and the descriptor must be a TCP socket that is connected to a loopback address.
pub(super) async fn connection(path: &Path) -> io::Result<(HandoffReply, std::net::TcpStream)> {
    let (reply, fd) = request(path, &[HandoffRequest::Cdp as u8]).await?;
    Ok((reply, connected(fd)?))
}

/// A file the guest has on offer: one that is read like any of the host's.
pub(super) async fn file(path: &Path, ticket: u64) -> io::Result<File> {
    let mut bytes = vec![HandoffRequest::File as u8];
    bytes.extend(ticket.to_be_bytes());
    let (_, fd) = request(path, &bytes).await?;
    plain(fd)
}

async fn request(path: &Path, bytes: &[u8]) -> io::Result<(HandoffReply, OwnedFd)> {
    let exchange = async {
        let mut socket = UnixStream::connect(path).await?;
        socket.write_all(bytes).await?;
        answer(&socket).await
    };
    match tokio::time::timeout(ANSWER_WITHIN, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the guest did not answer within {} s", ANSWER_WITHIN.as_secs()),
        )),
    }
}

/// The guest's answer on `socket`.
pub(super) async fn answer(socket: &UnixStream) -> io::Result<(HandoffReply, OwnedFd)> {
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
        Some(fd) if reply.ok => Ok((reply, fd)),
        _ => Err(io::Error::other(reply.error)),
    }
}

/// `fd` as a connection within the session.
pub(super) fn connected(fd: OwnedFd) -> io::Result<std::net::TcpStream> {
    let tcp = socket_type(&fd)? == SocketType::STREAM
        && matches!(socket_domain(&fd)?, AddressFamily::INET | AddressFamily::INET6);
    let stream = std::net::TcpStream::from(fd);
    // A socket that is not connected has no peer: an error.
    if tcp && stream.peer_addr()?.ip().is_loopback() {
        Ok(stream)
    } else {
        Err(io::Error::other("the guest passed something that is no TCP connection"))
    }
}

/// `fd` as a file that the kernel alone reads, with no program of the session behind it.
pub(super) fn plain(fd: OwnedFd) -> io::Result<File> {
    if browserd_sandbox::is_plain(&fd)? {
        Ok(File::from(fd))
    } else {
        Err(io::Error::other("the guest passed something that is no file of the host's"))
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
    use std::path::PathBuf;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    /// Fetches a connection from a guest that answers with `line` and a descriptor.
    async fn opened(line: &str, fd: Option<OwnedFd>) -> io::Result<std::net::TcpStream> {
        behind(line, fd, |path| async move { connection(&path).await.map(|(_, stream)| stream) })
            .await
    }

    /// A descriptor-passing socket whose guest answers any request with `line` and a descriptor.
    async fn behind<T, F: Future<Output = io::Result<T>>>(
        line: &str,
        fd: Option<OwnedFd>,
        call: impl FnOnce(PathBuf) -> F,
    ) -> io::Result<T> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fd.sock");
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
        let answer = call(path).await;
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
    async fn a_file_arrives_and_nothing_else_passes_for_one() {
        let offered = |fd: Option<OwnedFd>| {
            behind("{\"ok\":true}\n", fd, |path| async move { file(&path, 7).await })
        };
        let mut content = tempfile::tempfile().unwrap();
        content.write_all(b"content").unwrap();
        let passed = offered(Some(content.into())).await.unwrap();
        assert_eq!(passed.metadata().unwrap().len(), 7);
        for other in ["/dev/zero", "/proc/self/status", "/"] {
            let other = std::fs::File::open(other).unwrap();
            let refused = offered(Some(other.into())).await.unwrap_err();
            assert!(refused.to_string().contains("no file"), "{refused}");
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(offered(Some(listener.into())).await.is_err());
        assert!(offered(None).await.is_err());
    }

    #[tokio::test]
    async fn an_answer_without_end_is_refused() {
        let endless = "x".repeat(LINE_LIMIT * 4);
        let error = opened(&endless, None).await.unwrap_err();
        assert!(error.to_string().contains("no end"), "{error}");
    }
}
