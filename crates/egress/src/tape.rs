//! A connection that HTTP is spoken over by a library, and that can be had back with what came over it, when
//! that is something the library does not understand.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes recorded, as Chromium reads of a head at most (`HttpStreamParser::kMaxHeaderBufSize`).
pub(crate) const LONGEST: usize = 256 * 1024;

/// A connection; clones are the same one.
pub(crate) struct Taped<S>(Arc<Mutex<State<S>>>);

struct State<S> {
    /// None once it was taken back.
    stream: Option<S>,
    /// What was read since recording began.
    tape: Option<Vec<u8>>,
}

impl<S> Clone for Taped<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Taped<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(State { stream: Some(stream), tape: None })))
    }

    /// Records what is read from now on, and no longer what was.
    pub(crate) fn record(&self) {
        self.0.lock().tape = Some(Vec::new());
    }

    /// Ends the recording, unless what was recorded is wanted.
    pub(crate) fn forget_unless(&self, wanted: impl FnOnce(&[u8]) -> bool) -> bool {
        let tape = &mut self.0.lock().tape;
        let is_wanted = tape.as_deref().is_some_and(wanted);
        if !is_wanted {
            *tape = None;
        }
        is_wanted
    }

    /// The connection, and what was recorded. Who had it finds it closed.
    pub(crate) fn take(&self) -> Option<(S, Vec<u8>)> {
        let mut state = self.0.lock();
        let stream = state.stream.take()?;
        Some((stream, state.tape.take().unwrap_or_default()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taped<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        let State { stream, tape } = &mut *state;
        let Some(stream) = stream else { return Poll::Ready(Ok(())) };
        let before = buf.filled().len();
        let polled = Pin::new(stream).poll_read(cx, buf);
        if let Some(recorded) = tape {
            let read = buf.filled().get(before..).unwrap_or_default();
            let room = LONGEST.saturating_sub(recorded.len());
            recorded.extend_from_slice(read.get(..room).unwrap_or(read));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taped<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.0.lock().stream {
            Some(stream) => Pin::new(stream).poll_write(cx, buf),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0.lock().stream {
            Some(stream) => Pin::new(stream).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.0.lock() {
            // An origin might take it for the client's leaving, while its answer is still wanted.
            State { tape: Some(_), .. } | State { stream: None, .. } => Poll::Ready(Ok(())),
            State { stream: Some(stream), .. } => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
