//! The shim's side of the talk with `serve`: reports out to everyone connected, commands in.

use std::io::{self, Write};
use std::os::unix::net::UnixStream as StdStream;

use browserd_protocol::lines::{LineError, Lines};
use browserd_protocol::{LINE_LIMIT, ShimCommand, ShimReport};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc, watch};

/// One message as a line.
pub(crate) fn line(message: &impl serde::Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Writes a report on a blocking socket, for the times without a runtime.
pub(crate) fn write_now(mut socket: &StdStream, report: &ShimReport) -> io::Result<()> {
    socket.write_all(&line(report))
}

/// Talks with one `serve` until it goes away. `peers` counts those connected.
pub(crate) async fn talk(
    socket: UnixStream,
    hello: ShimReport,
    mut reports: broadcast::Receiver<ShimReport>,
    commands: mpsc::Sender<ShimCommand>,
    peers: watch::Sender<usize>,
) {
    peers.send_modify(|count| *count += 1);
    let (read, mut write) = socket.into_split();
    let incoming = async {
        let mut lines = Lines::new(read, LINE_LIMIT);
        loop {
            match lines.next().await {
                Ok(Some(command)) => {
                    if commands.send(command).await.is_err() {
                        return;
                    }
                }
                Err(error @ LineError::Unreadable(_)) => {
                    tracing::warn!(%error, "a command from the server cannot be read and is ignored");
                }
                Ok(None) | Err(_) => return,
            }
        }
    };
    let outgoing = async {
        if write.write_all(&line(&hello)).await.is_err() {
            return;
        }
        loop {
            match reports.recv().await {
                Ok(report) => {
                    let last = matches!(report, ShimReport::Ended { .. });
                    if write.write_all(&line(&report)).await.is_err() || last {
                        return;
                    }
                }
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    tracing::warn!(
                        lost,
                        "the server reads this session's reports too slowly and missed some"
                    );
                }
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    };
    tokio::select! {
        () = incoming => {}
        () = outgoing => {}
    }
    peers.send_modify(|count| *count -= 1);
}
