//! The line to the shim: reports out, commands in, one JSON document a line; its end is the guest's
//! end.

use std::io;
use std::os::unix::net::UnixStream as StdStream;

use browserd_protocol::lines::{LineError, Lines};
use browserd_protocol::{GuestCommand, GuestReport, LINE_LIMIT};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;

/// Reports that may wait to be written.
const QUEUE: usize = 64;

/// Where reports go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ShimLine {
    reports: mpsc::Sender<GuestReport>,
}

impl ShimLine {
    /// Takes over the socket; starts the task that writes to it. The other half, read, says what is
    /// asked of the guest.
    ///
    /// # Errors
    ///
    /// When the socket cannot be registered with the runtime.
    pub fn new(socket: StdStream) -> io::Result<(Self, Commands)> {
        socket.set_nonblocking(true)?;
        let (read, mut write) = UnixStream::from_std(socket)?.into_split();
        let (reports, mut queue) = mpsc::channel::<GuestReport>(QUEUE);
        tokio::spawn(async move {
            while let Some(report) = queue.recv().await {
                let Ok(mut line) = serde_json::to_vec(&report) else { continue };
                line.push(b'\n');
                if write.write_all(&line).await.is_err() {
                    return;
                }
            }
        });
        Ok((Self { reports }, Commands(Lines::new(read, LINE_LIMIT))))
    }

    /// A line that leads nowhere, for a guest without a shim.
    #[must_use]
    pub fn nowhere() -> Self {
        let (reports, mut queue) = mpsc::channel::<GuestReport>(QUEUE);
        tokio::spawn(async move {
            while let Some(report) = queue.recv().await {
                tracing::info!(?report, "there is no shim to report to");
            }
        });
        Self { reports }
    }

    /// Reports; waits while the shim does not read.
    pub async fn report(&self, report: GuestReport) {
        let _ = self.reports.send(report).await;
    }
}

/// What the shim asks of the guest.
pub struct Commands(Lines<OwnedReadHalf>);

impl Commands {
    /// The next; `None` when the shim is gone. Safe to cancel.
    pub async fn next(&mut self) -> Option<GuestCommand> {
        loop {
            match self.0.next().await {
                Ok(command) => return command,
                Err(error @ LineError::Unreadable(_)) => {
                    tracing::warn!(%error, "a command from the shim cannot be read and is ignored");
                }
                Err(_) => return None,
            }
        }
    }
}
