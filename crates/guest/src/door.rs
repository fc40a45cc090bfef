//! Hands out sockets: connects to Chromium's port inside the session's network namespace and passes
//! the connected socket to `serve`, which then talks to Chromium directly.
//!
//! ```text
//!  serve ── connect, one Door byte ──▶ guest
//!                                      │ connect 127.0.0.1:port (waits while Chromium restarts)
//!  serve ◀── HandoffReply line + fd ── guest, which keeps nothing
//! ```

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use browserd_protocol::{Door, HandoffReply};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::browser::Browser;

/// Requests served at once; more wait to be accepted.
const AT_ONCE: usize = 256;
/// How long a caller may take to say what it wants.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// How long the listener rests after the kernel refused to accept (no descriptors left).
const REST: Duration = Duration::from_millis(50);

/// Serves `door.sock` for as long as the guest lives.
///
/// # Errors
///
/// When the listener cannot be registered with the runtime.
pub async fn serve(listener: StdListener, browser: Browser) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the door cannot accept");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let browser = browser.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(stream, &browser).await {
                tracing::debug!(%error, "a socket was not handed out");
            }
            drop(slot);
        });
    }
}

async fn answer(mut caller: UnixStream, browser: &Browser) -> io::Result<()> {
    let asked = tokio::time::timeout(ASK_WITHIN, caller.read_u8()).await??;
    let connected = if asked == Door::Cdp as u8 {
        tokio::select! {
            connected = browser.connect() => connected.map_err(|error| error.to_string()),
            // Nobody waits any more.
            _ = caller.read_u8() => return Ok(()),
        }
    } else {
        Err(format!("no door is called {asked:#04x}"))
    };
    match connected {
        Ok((stream, running)) => {
            let reply = HandoffReply {
                ok: true,
                host: format!("127.0.0.1:{}", running.endpoint.port),
                browser_path: running.endpoint.browser_path,
                error: String::new(),
            };
            send(&caller, &reply, Some(&stream)).await
        }
        Err(error) => {
            let reply =
                HandoffReply { ok: false, host: String::new(), browser_path: String::new(), error };
            send(&caller, &reply, None).await
        }
    }
}

/// Sends the reply as one line, with the socket attached to its first byte.
async fn send(
    caller: &UnixStream,
    reply: &HandoffReply,
    socket: Option<&TcpStream>,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    let fds: Vec<BorrowedFd<'_>> = socket.iter().map(AsFd::as_fd).collect();
    let sent = caller
        .async_io(Interest::WRITABLE, || {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() {
                ancillary.push(SendAncillaryMessage::ScmRights(&fds));
            }
            let bytes = [IoSlice::new(&line)];
            Ok(rustix::net::sendmsg(caller, &bytes, &mut ancillary, SendFlags::NOSIGNAL)?)
        })
        .await?;
    // A fresh socket's buffer holds far more than one line.
    if sent == line.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}
