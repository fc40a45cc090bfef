//! Hands out descriptors: sockets connected to Chromium's port inside the session's network
//! namespace, so that `serve` talks to Chromium directly, and files on offer, which it reads itself.
//!
//! ```text
//!  serve ── connect, one HandoffRequest byte ──▶ guest
//!                                      │ Cdp: connect 127.0.0.1:port (waits while Chromium restarts)
//!                                      │ File: the ticket's file, once
//!  serve ◀── HandoffReply line + fd ── guest, which keeps nothing
//! ```

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use browserd_guest_browser::Browser;
use browserd_guest_fs::Offers;
use browserd_protocol::{HandoffReply, HandoffRequest};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Requests served at once; more wait to be accepted.
const AT_ONCE: usize = 256;
/// How long a caller may take to say what it wants.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// How long the listener rests after the kernel refused to accept (no descriptors left).
const REST: Duration = Duration::from_millis(50);

/// Serves `fd.sock` for as long as the guest lives.
///
/// # Errors
///
/// When the listener cannot be registered with the runtime.
pub async fn serve(listener: StdListener, browser: Browser, offers: Offers) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the descriptor-passing socket cannot accept a connection and tries again");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let (browser, offers) = (browser.clone(), offers.clone());
        tokio::spawn(async move {
            if let Err(error) = answer(stream, &browser, &offers).await {
                tracing::debug!(%error, "a descriptor was not handed out");
            }
            drop(slot);
        });
    }
}

async fn answer(mut caller: UnixStream, browser: &Browser, offers: &Offers) -> io::Result<()> {
    let asked = tokio::time::timeout(ASK_WITHIN, caller.read_u8()).await??;
    let found = if asked == HandoffRequest::Cdp as u8 {
        tokio::select! {
            connected = connection(browser) => connected,
            // The caller is gone.
            _ = caller.read_u8() => return Ok(()),
        }
    } else if asked == HandoffRequest::File as u8 {
        let ticket = tokio::time::timeout(ASK_WITHIN, caller.read_u64()).await??;
        file(offers, ticket)
    } else {
        Err(format!("no descriptor is requested by {asked:#04x}"))
    };
    match found {
        Ok((reply, fd)) => send(&caller, &reply, Some(&fd)).await,
        Err(error) => send(&caller, &HandoffReply { error, ..HandoffReply::default() }, None).await,
    }
}

/// A fresh connection to Chromium.
async fn connection(browser: &Browser) -> Result<(HandoffReply, OwnedFd), String> {
    let (stream, running) = browser.connect().await.map_err(|error| error.to_string())?;
    let stream = stream.into_std().map_err(|error| error.to_string())?;
    let reply = HandoffReply {
        ok: true,
        host: format!("127.0.0.1:{}", running.endpoint.port),
        browser_path: running.endpoint.browser_path,
        error: String::new(),
    };
    Ok((reply, stream.into()))
}

/// A file on offer.
fn file(offers: &Offers, ticket: u64) -> Result<(HandoffReply, OwnedFd), String> {
    let file = offers.take(ticket).ok_or("no such file is on offer")?;
    let fd = file.as_fd().try_clone_to_owned().map_err(|error| error.to_string())?;
    Ok((HandoffReply { ok: true, ..HandoffReply::default() }, fd))
}

/// Sends the reply as one line, with the descriptor attached to its first byte.
async fn send(caller: &UnixStream, reply: &HandoffReply, fd: Option<&OwnedFd>) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    let fds: Vec<BorrowedFd<'_>> = fd.iter().map(AsFd::as_fd).collect();
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
