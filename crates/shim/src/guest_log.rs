//! What the guest writes to stderr, into the shim's own log, bounded: the guest is hostile and the
//! host's disk is not its own. A line keeps its level, so that a filter drops what it should; errors go
//! to `serve` as well, because a 500 promises its cause in the server's log.

use std::os::fd::OwnedFd;

use browserd_protocol::ShimReport;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::broadcast;
use tracing::Level;

/// Bytes of guest log kept a session, as they are written.
const LIMIT: usize = 4 << 20;
/// Bytes of errors told to `serve` a session.
const TOLD_LIMIT: usize = 256 << 10;
/// Longest line kept whole.
const LINE: usize = 8 << 10;
/// What a record is besides its text: time, level, target and the punctuation of JSON.
const RECORD: usize = 128;

/// Copies lines until the guest is gone.
pub(crate) async fn relay(pipe: OwnedFd, reports: broadcast::Sender<ShimReport>) {
    let Ok(mut pipe) = Receiver::from_owned_fd(pipe) else { return };
    let (mut kept, mut told) = (0usize, 0usize);
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
                let level = level(&text);
                match level {
                    Level::ERROR => tracing::error!(target: "guest", "{text}"),
                    Level::WARN => tracing::warn!(target: "guest", "{text}"),
                    Level::INFO => tracing::info!(target: "guest", "{text}"),
                    Level::DEBUG => tracing::debug!(target: "guest", "{text}"),
                    _ => tracing::trace!(target: "guest", "{text}"),
                }
                if level == Level::ERROR && told < TOLD_LIMIT {
                    told += text.len();
                    let _ = reports.send(ShimReport::GuestError { line: text });
                }
                if kept >= LIMIT {
                    tracing::warn!(
                        "the session wrote as much log as is kept; its later lines are dropped"
                    );
                }
            }
            line.clear();
        }
    }
}

/// The level of one of the guest's own lines, which stands behind the time. What is no such line (a
/// panic's) is worth reading.
fn level(text: &str) -> Level {
    text.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(Level::WARN)
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
    fn a_line_keeps_its_level() {
        for (line, wanted) in [
            ("2026-11-25T05:24:20.556583Z ERROR request{request_id=x}: a: b", Level::ERROR),
            ("2026-11-25T05:24:20.556583Z  WARN browserd_guest: b", Level::WARN),
            ("2026-11-25T05:24:20.556583Z  INFO browserd_guest: ERROR", Level::INFO),
            ("2026-11-25T05:24:20.556583Z DEBUG browserd_guest: b", Level::DEBUG),
            ("thread 'main' panicked at src/x.rs:1:1:", Level::WARN),
            ("", Level::WARN),
        ] {
            assert_eq!(level(line), wanted, "{line}");
        }
    }

    #[tokio::test]
    async fn errors_are_told_and_not_without_end() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let (reports, mut told) = broadcast::channel(1 << 12);
        let writing = std::thread::spawn(move || {
            let mut write = std::fs::File::from(write);
            let text = "x".repeat(1000);
            for level in ["INFO", "ERROR"] {
                for _ in 0..1000 {
                    std::io::Write::write_all(
                        &mut write,
                        format!("now {level} {text}\n").as_bytes(),
                    )
                    .unwrap();
                }
            }
        });
        relay(read, reports).await;
        writing.join().unwrap();
        let mut bytes = 0;
        while let Ok(ShimReport::GuestError { line }) = told.try_recv() {
            assert!(line.starts_with("now ERROR x"), "{line}");
            bytes += line.len();
        }
        assert!((TOLD_LIMIT..TOLD_LIMIT + LINE).contains(&bytes), "{bytes}");
    }

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
