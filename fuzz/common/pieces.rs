//! Bytes that arrive in pieces.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use browserd_protocol::lines::{LineError, Lines};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, ReadBuf};

/// Reads `data`, `most` bytes at a time at most.
pub(crate) struct Pieces<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) most: usize,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.most.min(self.data.len()).min(into.remaining());
        let (piece, rest) = self.data.split_at(length);
        into.put_slice(piece);
        self.data = rest;
        Poll::Ready(Ok(()))
    }
}

/// Reads `data` as lines of at most `limit` bytes, and gives `heed` each message; a line without end is
/// not gathered.
pub(crate) async fn messages<M: DeserializeOwned>(
    data: Pieces<'_>,
    limit: usize,
    mut heed: impl FnMut(M),
) {
    let mut lines = Lines::new(data, limit);
    loop {
        match lines.next().await {
            Ok(Some(message)) => {
                assert_eq!(lines.held(), 0, "a line is not kept when it has been read");
                heed(message);
            }
            Err(LineError::Unreadable(_)) => {}
            Ok(None) | Err(LineError::Io(_) | LineError::TooLong(_)) => break,
        }
    }
    assert!(lines.held() <= limit + 1, "{} bytes", lines.held());
}
