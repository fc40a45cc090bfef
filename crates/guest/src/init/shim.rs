//! The line to the shim: reports out, one JSON document a line; its end is the guest's end.

use std::io;
use std::os::unix::net::UnixStream as StdStream;

use browserd_protocol::{GuestOrder, GuestReport, LINE_LIMIT};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
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
    /// Takes over the socket; starts the task that writes to it. The other half is what the shim says.
    ///
    /// # Errors
    ///
    /// When the socket cannot be registered with the runtime.
    pub fn new(socket: StdStream) -> io::Result<(Self, Orders)> {
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
        Ok((Self { reports }, Orders(read)))
    }

    /// A line that leads nowhere, for a guest without a shim.
    #[must_use]
    pub fn nowhere() -> Self {
        let (reports, mut queue) = mpsc::channel::<GuestReport>(QUEUE);
        tokio::spawn(async move {
            while let Some(report) = queue.recv().await {
                tracing::info!(?report, "report without a shim");
            }
        });
        Self { reports }
    }

    /// Reports; waits while the shim does not read.
    pub async fn report(&self, report: GuestReport) {
        let _ = self.reports.send(report).await;
    }
}

/// What the shim says.
#[derive(Debug)]
pub struct Orders(OwnedReadHalf);

impl Orders {
    /// Hands every order to `act`, until the shim is gone.
    pub async fn follow(self, mut act: impl FnMut(GuestOrder)) {
        let mut read = BufReader::new(self.0);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut read).take(LINE_LIMIT as u64).read_until(b'\n', &mut line).await {
                Ok(1..) => match serde_json::from_slice(&line) {
                    Ok(order) => act(order),
                    Err(error) => tracing::warn!(%error, "unreadable order"),
                },
                Ok(0) | Err(_) => return,
            }
        }
    }
}
