//! Reading `multipart/form-data` piece by piece, in bounded memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use browserd_api::ErrorCode;
use browserd_rest::{Error, Result};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header::CONTENT_TYPE;

/// Most bytes read without a part beginning or going on: heads of parts, and what is between them.
pub const HEAD_LIMIT: usize = 1 << 20;

/// A form on its way in.
pub(super) struct Form {
    parts: multer::Multipart<'static>,
    idle: Idle,
}

/// One part of it; read it to its end before asking for the next.
pub(super) struct Part {
    field: multer::Field<'static>,
    idle: Idle,
}

/// How much was read since a part last began or went on.
#[derive(Clone, Default)]
pub struct Idle(Arc<AtomicUsize>);

impl Idle {
    /// One has.
    pub fn over(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// The parts of `body`, of which [`HEAD_LIMIT`] bytes at most are read before a part begins or goes
/// on; the other value is to be told that one has.
#[must_use]
pub fn parts(body: Body, boundary: String) -> (multer::Multipart<'static>, Idle) {
    let idle = Idle::default();
    let body = Paced { body: body.into_data_stream(), rest: false, idle: idle.clone() };
    (multer::Multipart::new(body, boundary), idle)
}

impl Form {
    /// The form in `request`.
    ///
    /// # Errors
    ///
    /// 415 when the body is something else, 400 when the boundary is missing.
    pub(super) fn new(request: Request) -> Result<Self> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default();
        let boundary = multer::parse_boundary(kind).map_err(|error| match error {
            multer::Error::NoBoundary => Error::new(
                ErrorCode::BadRequest,
                "the Content-Type header has no boundary; let the HTTP client write it",
            ),
            _ => Error::new(
                ErrorCode::UnsupportedMediaType,
                format!(
                    "this route reads multipart/form-data, the request says {}",
                    if kind.is_empty() { "nothing" } else { kind }
                ),
            ),
        })?;
        let (parts, idle) = parts(request.into_body(), boundary);
        Ok(Self { parts, idle })
    }

    /// The next part, with its name.
    pub(super) async fn next(&mut self) -> Result<Option<(String, Part)>> {
        let field = self.parts.next_field().await.map_err(refuse)?;
        self.idle.over();
        Ok(field.map(|field| {
            let name = field.name().unwrap_or_default().to_owned();
            (name, Part { field, idle: self.idle.clone() })
        }))
    }
}

impl Part {
    /// The next bytes of it.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let bytes = self.field.chunk().await.map_err(refuse)?;
        self.idle.over();
        Ok(bytes)
    }

    /// All of it, as text of at most `limit` bytes; `name` is for refusals.
    pub(super) async fn text(mut self, name: &str, limit: usize) -> Result<String> {
        let mut text = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            if text.len() + bytes.len() > limit {
                return Err(Error::field(name, format!("is longer than {limit} bytes")));
            }
            text.extend_from_slice(&bytes);
        }
        String::from_utf8(text).map_err(|_| Error::field(name, "is not UTF-8"))
    }
}

fn refuse(error: multer::Error) -> Error {
    let text = match &error {
        multer::Error::StreamReadFailed(cause) if cause.is::<TooLong>() => cause.to_string(),
        multer::Error::StreamReadFailed(_)
        | multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders
        | multer::Error::IncompleteStream => "the form ended before it was complete".to_owned(),
        other => format!("the form cannot be read: {other}"),
    };
    Error(browserd_api::ApiError::new(ErrorCode::BadRequest, text.clone()).detail("body", text))
}

#[derive(Debug, thiserror::Error)]
#[error("the head of a part is longer than {HEAD_LIMIT} bytes")]
struct TooLong;

/// The body, with a rest after every piece: the parser takes whatever is ready before it looks at
/// any of it, which a fast client could make a whole body.
struct Paced {
    body: BodyDataStream,
    rest: bool,
    idle: Idle,
}

impl Stream for Paced {
    type Item = std::result::Result<Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.rest) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = std::task::ready!(self.body.poll_next_unpin(context));
        self.rest = true;
        if let Some(Ok(bytes)) = &piece {
            let idle = self.idle.0.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len();
            if idle > HEAD_LIMIT {
                return Poll::Ready(Some(Err(Box::new(TooLong))));
            }
        }
        Poll::Ready(piece.map(|piece| piece.map_err(Into::into)))
    }
}
