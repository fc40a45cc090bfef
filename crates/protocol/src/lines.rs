//! Messages as lines: one JSON document each, never longer than its reader allows.

use std::io;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

/// Why a line is no message.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It has no end within the limit; nothing more is read.
    #[error("a line of more than {0} bytes")]
    TooLong(usize),
    /// It is not what was asked for; the next call goes on behind it.
    #[error("a line that cannot be understood: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// Reads messages of the other side.
#[derive(Debug)]
pub struct Lines<R> {
    reader: BufReader<R>,
    /// What has been read of the next line.
    line: Vec<u8>,
    limit: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads lines of at most `limit` bytes, their ends not counted.
    pub fn new(reader: R, limit: usize) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new(), limit }
    }

    /// Bytes that are held of a line that is not whole yet.
    pub fn held(&self) -> usize {
        self.line.len()
    }

    /// The next message; `None` when the other side has hung up, in the middle of a line too. Safe to
    /// cancel.
    ///
    /// # Errors
    ///
    /// See [`LineError`].
    pub async fn next<M: DeserializeOwned>(&mut self) -> Result<Option<M>, LineError> {
        let room = (self.limit + 1).saturating_sub(self.line.len());
        // Dropped here, what was read of the line stays in `line`.
        (&mut self.reader).take(room as u64).read_until(b'\n', &mut self.line).await?;
        if self.line.last() != Some(&b'\n') {
            let cut = self.line.len() <= self.limit;
            return if cut { Ok(None) } else { Err(LineError::TooLong(self.limit)) };
        }
        let message = serde_json::from_slice(&self.line);
        self.line.clear();
        Ok(Some(message?))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const LIMIT: usize = 8;

    fn lines() -> (DuplexStream, Lines<DuplexStream>) {
        let (ours, theirs) = duplex(64);
        (ours, Lines::new(theirs, LIMIT))
    }

    /// What comes of `bytes` and a hang-up behind them.
    async fn read(bytes: &[u8]) -> Vec<Result<u32, String>> {
        let mut lines = Lines::new(bytes, LIMIT);
        let mut read = Vec::new();
        while let Some(next) = lines.next().await.transpose() {
            let end = matches!(next, Err(LineError::TooLong(_) | LineError::Io(_)));
            read.push(next.map_err(|error| error.to_string()));
            if end {
                break;
            }
        }
        read
    }

    #[tokio::test]
    async fn messages_come_out_and_a_cut_one_does_not() {
        assert_eq!(read(b"").await, []);
        assert_eq!(read(b"1\n2\n").await, [Ok(1), Ok(2)]);
        assert_eq!(read(b"1\n2").await, [Ok(1)]);
    }

    #[tokio::test]
    async fn a_line_may_be_as_long_as_the_limit() {
        assert_eq!(read(b"12345678\n1\n").await, [Ok(12_345_678), Ok(1)]);
        let too_long = || Err("a line of more than 8 bytes".to_owned());
        assert_eq!(read(b"1\n123456789\n1\n").await, [Ok(1), too_long()]);
        assert_eq!(read(b"123456789").await, [too_long()]);
        // It stays that way: what follows is not read as a message.
        let (mut far, mut lines) = lines();
        far.write_all(b"123456789\n1\n").await.unwrap();
        for _ in 0..3 {
            assert!(matches!(lines.next::<u32>().await, Err(LineError::TooLong(LIMIT))));
        }
    }

    #[tokio::test]
    async fn after_an_unreadable_line_reading_goes_on() {
        let read = read(b"x\n\n7\n").await;
        assert!(matches!(&read[..], [Err(_), Err(_), Ok(7)]), "{read:?}");
    }

    #[tokio::test]
    async fn nothing_is_lost_when_a_wait_is_given_up() {
        let (mut far, mut lines) = lines();
        for piece in [&b"1"[..], b"2", b"3"] {
            far.write_all(piece).await.unwrap();
            let waiting = std::pin::pin!(lines.next::<u32>());
            assert!(matches!(poll_once(waiting).await, Poll::Pending));
        }
        far.write_all(b"4\n5\n").await.unwrap();
        assert_eq!(lines.next::<u32>().await.unwrap(), Some(1234));
        assert_eq!(lines.next::<u32>().await.unwrap(), Some(5));
        far.write_all(b"6").await.unwrap();
        assert!(matches!(poll_once(std::pin::pin!(lines.next::<u32>())).await, Poll::Pending));
        drop(far);
        assert_eq!(lines.next::<u32>().await.unwrap(), None);
    }

    /// Polls once.
    async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    }
}
