//! What the guest writes to stderr, into the shim's own log, bounded: the guest is hostile and the
//! host's disk is not its own.

use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// Bytes of guest log kept a session.
const LIMIT: usize = 4 << 20;
/// Longest line kept whole.
const LINE: usize = 8 << 10;

/// Copies lines until the guest is gone.
pub(crate) async fn relay(pipe: OwnedFd) {
    let Ok(mut pipe) = Receiver::from_owned_fd(pipe) else { return };
    let mut kept = 0usize;
    let mut line = Vec::new();
    let mut buffer = [0u8; 4096];
    while let Ok(n @ 1..) = pipe.read(&mut buffer).await {
        for &byte in &buffer[..n] {
            if byte != b'\n' && line.len() < LINE {
                line.push(byte);
                continue;
            }
            if kept < LIMIT {
                kept += line.len() + 1;
                let text: String = String::from_utf8_lossy(&line)
                    .chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .collect();
                tracing::info!(target: "guest", "{text}");
                if kept >= LIMIT {
                    tracing::warn!("the guest's log is full; later lines are dropped");
                }
            }
            line.clear();
        }
    }
}
