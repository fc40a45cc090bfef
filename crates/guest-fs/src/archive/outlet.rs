//! From a thread that writes to a client that reads, with little in between.

use std::io::{self, Write};

use axum::body::Body;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes a piece.
const PIECE: usize = 128 << 10;
/// Pieces under way.
const PIECES: usize = 4;

/// What the thread writes to. Waits while the client does not read; fails once it is gone.
pub(crate) struct Outlet {
    piece: Vec<u8>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
}

/// An outlet and what comes out of it.
pub(crate) fn outlet() -> (Outlet, mpsc::Receiver<io::Result<Bytes>>) {
    let (sender, receiver) = mpsc::channel(PIECES);
    (Outlet { piece: Vec::with_capacity(PIECE), pieces: sender }, receiver)
}

/// A response body of what comes out, `first` before the rest. An error breaks it off.
pub(crate) fn body(first: Option<Bytes>, pieces: mpsc::Receiver<io::Result<Bytes>>) -> Body {
    let first = tokio_stream::iter(first.map(Ok));
    Body::from_stream(first.chain(ReceiverStream::new(pieces)))
}

impl Outlet {
    /// Breaks the body off, so that the client does not take it for whole.
    pub(crate) fn fail(self, error: io::Error) {
        let _ = self.pieces.blocking_send(Err(error));
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.pieces
            .blocking_send(Ok(piece.into()))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone"))
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == PIECE {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() { Ok(()) } else { self.send() }
    }
}
