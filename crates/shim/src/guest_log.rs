//! What the guest writes to stderr, into the shim's own log, bounded: the guest is hostile and the
//! host's disk is not its own.

use std::os::fd::OwnedFd;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// Bytes of guest log kept a session, as they are written.
const LIMIT: usize = 4 << 20;
/// Longest line kept whole.
const LINE: usize = 8 << 10;
/// What a record is besides its text: time, level, target and the punctuation of JSON.
const RECORD: usize = 128;

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
                let text = printable(&line);
                kept += written(&text);
                tracing::info!(target: "guest", "{text}");
                if kept >= LIMIT {
                    tracing::warn!("the guest's log is full; later lines are dropped");
                }
            }
            line.clear();
        }
    }
}

fn printable(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Bytes a text takes in the log: an empty line is a record too, a byte that is no text becomes
/// three, and JSON puts a backslash before some.
fn written(text: &str) -> usize {
    RECORD + text.len() + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_no_less_than_is_written() {
        for line in [&b""[..], b"plain", b"\"quoted\" \\ \x1b[31m", &[0xff; 100], "ä€".as_bytes()]
        {
            let text = printable(line);
            let record = serde_json::json!({
                "timestamp": "2026-11-25T01:02:03.456789Z",
                "level": "INFO",
                "message": text,
                "target": "guest",
            });
            let record = record.to_string();
            let written = written(&text);
            assert!((record.len() + 1..record.len() + RECORD).contains(&written), "{record}");
        }
    }
}
