//! Reading on after an early refusal.
//!
//! A client that is still sending a body does not hear an answer: it writes, we have stopped reading,
//! and closing on it would throw the answer away with a reset. So what is left of a body nobody
//! wants is read and dropped, within bounds, before the answer goes out.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::oneshot;

/// Bytes read for nothing at most, and for how long. Beyond that the client gets a reset.
const MOST: u64 = 256 << 20;
const LONGEST: Duration = Duration::from_secs(15);

/// Whether the whole of a request's body has been read, and since when; an extension of the request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Whole(Arc<OnceLock<Instant>>);

impl Whole {
    pub(crate) fn yes(&self) -> bool {
        self.since().is_some()
    }

    pub(crate) fn since(&self) -> Option<Instant> {
        self.0.get().copied()
    }

    fn note(&self) {
        self.0.get_or_init(Instant::now);
    }
}

/// A request's body that comes back when it is dropped before its end.
pub(crate) struct Lingering {
    body: Option<Incoming>,
    whole: Whole,
    back: Option<oneshot::Sender<Incoming>>,
}

/// What may come back.
pub(crate) struct Left(oneshot::Receiver<Incoming>);

/// Watches over a body.
pub(crate) fn watch(body: Incoming) -> (Lingering, Whole, Left) {
    let (back, left) = oneshot::channel();
    let whole = Whole::default();
    if body.is_end_stream() {
        whole.note();
    }
    let lingering = Lingering { body: Some(body), whole: whole.clone(), back: Some(back) };
    (lingering, whole, Left(left))
}

impl Left {
    /// Reads and drops what is left, if the body was dropped by now; one still in use is left alone.
    pub(crate) async fn drain(mut self) {
        let Ok(mut body) = self.0.try_recv() else { return };
        let read = async {
            let mut bytes = 0;
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                if bytes > MOST {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LONGEST, read).await;
    }
}

impl Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(&mut *body).poll_frame(cx));
        let over = !matches!(frame, Some(Ok(_))) || body.is_end_stream();
        if over && !matches!(frame, Some(Err(_))) {
            self.whole.note();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        if let (Some(body), Some(back), false) =
            (self.body.take(), self.back.take(), self.whole.yes())
        {
            let _ = back.send(body);
        }
    }
}
