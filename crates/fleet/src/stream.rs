//! A connection to something inside a session, whatever carries it.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A fresh connection to Chromium's debugging port inside a session.
#[derive(Debug)]
pub struct BrowserStream {
    /// The connection; what is written to it is sent at once.
    pub stream: ByteStream,
    /// `host:port` for the `Host` header.
    pub host: String,
    /// Path of the browser endpoint, `/devtools/browser/<uuid>`.
    pub path: String,
}

/// Bytes both ways. What is a socket of this host is used as such.
pub struct ByteStream(Carrier);

enum Carrier {
    Unix(UnixStream),
    Tcp(TcpStream),
    Other(Box<dyn Both>),
}

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Both for S {}

impl ByteStream {
    /// One that is carried by no socket of this host.
    pub fn other(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self(Carrier::Other(Box::new(stream)))
    }

    /// The socket, where it is one of this host's: to set its options.
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.0 {
            Carrier::Unix(stream) => Some(stream.as_fd()),
            Carrier::Tcp(stream) => Some(stream.as_fd()),
            Carrier::Other(_) => None,
        }
    }

    fn carrier(self: Pin<&mut Self>) -> Pin<&mut dyn Both> {
        match &mut self.get_mut().0 {
            Carrier::Unix(stream) => Pin::new(stream),
            Carrier::Tcp(stream) => Pin::new(stream),
            Carrier::Other(stream) => Pin::new(stream),
        }
    }
}

impl From<UnixStream> for ByteStream {
    fn from(stream: UnixStream) -> Self {
        Self(Carrier::Unix(stream))
    }
}

impl From<TcpStream> for ByteStream {
    fn from(stream: TcpStream) -> Self {
        Self(Carrier::Tcp(stream))
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ByteStream").field(&self.socket()).finish()
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.carrier().poll_read(cx, into)
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.carrier().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.carrier().poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Carrier::Unix(stream) => stream.is_write_vectored(),
            Carrier::Tcp(stream) => stream.is_write_vectored(),
            Carrier::Other(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.carrier().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.carrier().poll_shutdown(cx)
    }
}
