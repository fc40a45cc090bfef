//! Bytes that arrive in pieces.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

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
