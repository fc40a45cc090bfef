//! Server-sent events as every stream of the guest sends them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderValue;
use http_body::Frame;
use serde::Serialize;

/// Idle time after which a comment is sent, so that proxies keep the connection.
pub const KEEPALIVE: Duration = Duration::from_secs(15);

/// The comment: a line of its own, with no empty line behind it. An empty line ends an event, and decoders of
/// some clients (the Go SDK) report one that has no data, which they then fail to read as JSON.
pub const COMMENT: Bytes = Bytes::from_static(b":\n");

/// One event with `data` as JSON.
pub fn event(data: &impl Serialize) -> Bytes {
    let mut text = b"data: ".to_vec();
    // Our own types have string keys and no custom code; they always serialise.
    let _ = serde_json::to_writer(&mut text, data);
    text.extend_from_slice(b"\n\n");
    text.into()
}

/// The headers of an event stream, around `body`.
pub fn response(body: axum::body::Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("x-sse-content-type", "application/json"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Frames, read when asked for, as a response body.
pub fn body(frames: impl Stream<Item = Bytes> + Send + 'static) -> axum::body::Body {
    axum::body::Body::new(Events { frames: Box::pin(frames) })
}

struct Events<S> {
    frames: Pin<Box<S>>,
}

impl<S: Stream<Item = Bytes>> http_body::Body for Events<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.frames
            .as_mut()
            .poll_next(context)
            .map(|frame| frame.map(|bytes| Ok(Frame::data(bytes))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a decoder reports an event at an empty line.
    #[derive(Clone, Copy)]
    enum Reports {
        /// Always: the Go SDK to 0.28.
        Always,
        /// When the event has a field: the standard, and the Python, Node and later Go SDKs.
        WithFields,
    }

    /// The data of the events in `stream`.
    fn decode(stream: &[u8], reports: Reports) -> Vec<String> {
        let text = std::str::from_utf8(stream).unwrap();
        let (mut events, mut data) = (Vec::new(), None::<String>);
        for line in text.lines() {
            match line.split_once(':') {
                None if line.is_empty() => match (data.take(), reports) {
                    (Some(data), _) => events.push(data),
                    (None, Reports::Always) => events.push(String::new()),
                    (None, Reports::WithFields) => {}
                },
                Some(("data", value)) => {
                    data = Some(value.strip_prefix(' ').unwrap_or(value).to_owned());
                }
                _ => {}
            }
        }
        events
    }

    #[test]
    fn every_generation_of_clients_skips_the_comment() {
        let (one, two) = (event(&"one"), event(&"two"));
        let stream = [&COMMENT[..], &one, &COMMENT, &COMMENT, &two, &COMMENT].concat();
        for reports in [Reports::Always, Reports::WithFields] {
            assert_eq!(decode(&stream, reports), ["\"one\"", "\"two\""]);
        }
    }
}
