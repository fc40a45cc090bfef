//! One direction of a tunnel.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Buffer of a direction with little to carry, bytes. Two of them are what an idle tunnel costs.
const SMALL: usize = 8 << 10;

/// Buffer of a busy direction, bytes.
const LARGE: usize = 64 << 10;

/// Why a direction carries nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The source ended or broke; everything it sent before was delivered.
    Source,
    /// The sink takes no more.
    Sink,
}

/// One direction: bytes that were read and are not yet written. It never reads on before all of
/// them are, so a slow sink holds its source back and memory stays bounded.
#[derive(Debug)]
pub(crate) struct Direction {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Whether the last read filled the buffer: a larger one saves system calls.
    filled: bool,
}

impl Direction {
    /// A direction that first delivers `leftover`, which came with the handshake.
    pub(crate) fn new(leftover: &Bytes) -> Self {
        let mut buffer = vec![0; leftover.len().max(SMALL)];
        buffer[..leftover.len()].copy_from_slice(leftover);
        Self { buffer, start: 0, end: leftover.len(), filled: false }
    }

    /// Whether all that was read has been delivered.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Carries what it can; `delivered` sees every byte the sink took.
    pub(crate) fn poll_carry<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut R,
        sink: &mut W,
        mut delivered: impl FnMut(&[u8]),
    ) -> Poll<Stop>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            if ready!(self.poll_flush(cx, sink, &mut delivered)).is_err() {
                return Poll::Ready(Stop::Sink);
            }
            self.resize();
            let mut into = ReadBuf::new(&mut self.buffer);
            match Pin::new(&mut *source).poll_read(cx, &mut into) {
                Poll::Pending => {
                    self.rest();
                    return Poll::Pending;
                }
                Poll::Ready(Err(_)) => return Poll::Ready(Stop::Source),
                Poll::Ready(Ok(())) => {
                    let length = into.filled().len();
                    if length == 0 {
                        return Poll::Ready(Stop::Source);
                    }
                    (self.start, self.end) = (0, length);
                    self.filled = length == self.buffer.len();
                }
            }
        }
    }

    /// Delivers what is in the buffer.
    pub(crate) fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        sink: &mut W,
        mut delivered: impl FnMut(&[u8]),
    ) -> Poll<io::Result<()>> {
        while self.start < self.end {
            let left = &self.buffer[self.start..self.end];
            let written = ready!(Pin::new(&mut *sink).poll_write(cx, left))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            delivered(&left[..written]);
            self.start += written;
        }
        Poll::Ready(Ok(()))
    }

    fn resize(&mut self) {
        if self.filled && self.buffer.len() < LARGE {
            self.buffer = vec![0; LARGE];
        }
    }

    /// Gives a large buffer back while there is nothing to carry.
    fn rest(&mut self) {
        if self.buffer.len() > SMALL {
            self.buffer = vec![0; SMALL];
        }
        self.filled = false;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn carries_everything_in_order_and_reports_what_was_delivered() {
        let (mut near, mut source) = tokio::io::duplex(4096);
        let (mut sink, mut far) = tokio::io::duplex(1024);
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        let expected = [b"left".to_vec(), sent.clone()].concat();
        let writer = tokio::spawn(async move { near.write_all(&sent).await });
        let reader = tokio::spawn(async move {
            let mut got = Vec::new();
            far.read_to_end(&mut got).await.map(|_| got)
        });
        let mut direction = Direction::new(&Bytes::from_static(b"left"));
        let mut delivered = 0;
        let stop = poll_fn(|cx| {
            direction.poll_carry(cx, &mut source, &mut sink, |b| delivered += b.len())
        })
        .await;
        assert_eq!(stop, Stop::Source);
        drop(sink);
        writer.await.unwrap().unwrap();
        assert_eq!(reader.await.unwrap().unwrap(), expected);
        assert_eq!(delivered, expected.len());
    }

    #[tokio::test]
    async fn a_sink_that_is_gone_ends_it() {
        let (mut near, mut source) = tokio::io::duplex(64);
        let (mut sink, far) = tokio::io::duplex(64);
        drop(far);
        near.write_all(b"x").await.unwrap();
        let mut direction = Direction::new(&Bytes::new());
        let stop = poll_fn(|cx| direction.poll_carry(cx, &mut source, &mut sink, |_| {})).await;
        assert_eq!(stop, Stop::Sink);
    }

    #[tokio::test]
    async fn a_busy_direction_grows_and_an_idle_one_shrinks() {
        let (mut near, mut source) = tokio::io::duplex(1 << 20);
        let (mut sink, _far) = tokio::io::duplex(1 << 20);
        near.write_all(&vec![7; 600_000]).await.unwrap();
        let mut direction = Direction::new(&Bytes::new());
        let mut largest = 0;
        let polled = poll_fn(|cx| {
            Poll::Ready(
                direction
                    .poll_carry(cx, &mut source, &mut sink, |b| largest = largest.max(b.len())),
            )
        })
        .await;
        // tokio's cooperative budget may interrupt it; both ways it rests afterwards.
        assert!(polled.is_pending());
        assert_eq!(largest, LARGE);
        assert_eq!(direction.buffer.len(), SMALL);
    }
}
