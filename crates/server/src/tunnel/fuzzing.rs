//! The targets of this module.

use http::{Method, header};

use super::frames::FrameTracker;
use super::handshake::{REPEATED, WebSocketRequest, asks, parse, read_answer};
use crate::fuzzing::headers::headers;
use crate::fuzzing::input::cut;
use crate::fuzzing::runtime::block_on;

/// Headers of a client (up to an empty line) and the bytes of an answer from inside: what is repeated
/// is the handshake and nothing else, and an answer is the same in however many pieces it comes.
pub(crate) fn websocket_handshake(data: &[u8]) {
    let end = data.windows(2).position(|two| two == b"\n\n").map_or(data.len(), |end| end + 1);
    let given = headers(&data[..end]);
    if asks(&given) {
        assert!(given.contains_key(header::UPGRADE));
    }
    if let Ok(request) = WebSocketRequest::read(&Method::GET, &given) {
        let head = request.bytes("127.0.0.1:9222", "/devtools/page/1");
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Request::new(&mut fields);
        let status = parsed.parse(&head).unwrap();
        assert_eq!(
            status,
            httparse::Status::Complete(head.len()),
            "one head and nothing behind it"
        );
        for field in parsed.headers.iter() {
            let known = REPEATED.iter().any(|name| name.as_str() == field.name);
            assert!(known || ["Host", "Connection", "Upgrade"].contains(&field.name));
        }
    }
    let (cut, answer) = cut(data.get(end + 1..).unwrap_or_default());
    let whole = parse(answer);
    if let Ok(Some(whole)) = &whole {
        assert!(answer.ends_with(&whole.leftover));
        assert!(whole.headers.keys().all(|name| REPEATED.contains(name)));
    }
    let read = block_on(read_answer(&mut Pieces { left: answer, cut }));
    if let (Ok(Some(whole)), Ok(read)) = (whole, read) {
        assert_eq!(read.status, whole.status);
        assert_eq!(read.headers, whole.headers);
        assert!(whole.leftover.starts_with(&read.leftover));
    }
}

/// Bytes that come a few at a time.
struct Pieces<'a> {
    left: &'a [u8],
    cut: usize,
}

impl tokio::io::AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        into: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let some = self.cut.min(self.left.len()).min(into.remaining());
        let (piece, left) = self.left.split_at(some);
        into.put_slice(piece);
        self.left = left;
        std::task::Poll::Ready(Ok(()))
    }
}

/// Frames on their way to a client: where they end does not depend on how they come, and a close frame
/// of ours may follow what is whole.
pub(crate) fn websocket_frames(data: &[u8]) {
    let (cut, data) = cut(data);
    let mut whole = FrameTracker::default();
    whole.advance(data);
    let mut piecewise = FrameTracker::default();
    for piece in data.chunks(cut) {
        let closed = piecewise.closed();
        piecewise.advance(piece);
        assert!(piecewise.closed() || !closed, "a connection does not open again");
    }
    assert_eq!(piecewise, whole);
    if whole.at_boundary() {
        let mut behind = whole.clone();
        behind.advance(&[0x88, 2, 3, 0xe8]);
        assert!(behind.at_boundary() && behind.closed());
    }
}
