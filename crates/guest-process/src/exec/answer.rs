//! The answer of `exec`: an `ExecResponse`, encoded piece by piece as its client reads.
//!
//! Output waits as the command wrote it, in the bytes its budget counts, and becomes base64 only in
//! the few pieces that are on their way. A client that does not read holds no more than that.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body::{Frame, SizeHint};

use super::collected::Collected;
use crate::output_body::append_base64;

/// Bytes of output encoded at once; a multiple of three, so that pieces need no padding between.
const PIECE: usize = 48 * 1024;

/// What `exec` has to say.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) exit_code: i32,
    pub(super) duration_ms: u128,
    pub(super) timed_out: bool,
    pub(super) out: Collected,
    pub(super) err: Collected,
}

/// The response.
pub(super) fn answer(answer: Answer) -> Response {
    let mut response = Response::new(axum::body::Body::new(Encoded::new(answer)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A part of the text.
#[derive(Debug)]
enum Part {
    Text(String),
    /// Output, and how much of it is encoded.
    Base64(Collected, usize),
}

impl Part {
    /// Bytes of text still to come from it.
    fn left(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Base64(output, done) => {
                base64_simd::STANDARD.encoded_length(output.bytes.len() - done)
            }
        }
    }
}

#[derive(Debug)]
struct Encoded {
    /// The next part last.
    parts: Vec<Part>,
    left: usize,
}

impl Encoded {
    fn new(answer: Answer) -> Self {
        let Answer { exit_code, duration_ms, timed_out, out, err } = answer;
        let mut tail = format!("\",\"duration_ms\":{duration_ms}");
        if timed_out {
            tail.push_str(",\"timed_out\":true");
        }
        for (name, left_out) in [("stdout", out.left_out), ("stderr", err.left_out)] {
            if left_out > 0 {
                tail.push_str(&format!(",\"{name}_truncated_bytes\":{left_out}"));
            }
        }
        tail.push('}');
        let parts = vec![
            Part::Text(tail),
            Part::Base64(err, 0),
            Part::Text("\",\"stderr_b64\":\"".into()),
            Part::Base64(out, 0),
            Part::Text(format!("{{\"exit_code\":{exit_code},\"stdout_b64\":\"")),
        ];
        let left = parts.iter().map(Part::left).sum();
        Self { parts, left }
    }

    /// The next piece: text, and as much output as goes into it. Output that is all encoded is let
    /// go of. Empty at the end.
    fn next(&mut self) -> Vec<u8> {
        let mut piece = Vec::with_capacity(self.left.min(PIECE / 3 * 4 + 256));
        while let Some(part) = self.parts.last_mut() {
            match part {
                Part::Text(text) => piece.extend_from_slice(text.as_bytes()),
                Part::Base64(output, done) => {
                    let room = (piece.capacity() - piece.len()) / 4 * 3;
                    let until = output.bytes.len().min(*done + room.min(PIECE));
                    append_base64(&mut piece, &output.bytes[*done..until]);
                    *done = until;
                    if until < output.bytes.len() {
                        break;
                    }
                }
            }
            self.parts.pop();
        }
        self.left -= piece.len();
        piece
    }
}

impl http_body::Body for Encoded {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.next();
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

#[cfg(test)]
mod tests {
    use browserd_api::process::ExecResponse;
    use http_body::Body;
    use proptest::prelude::*;

    use super::*;
    use crate::budget::Budget;

    fn output(budget: &Budget, bytes: &[u8]) -> Collected {
        let mut output = Collected::new(budget);
        output.push(bytes);
        output
    }

    /// The whole text, which must have the length that was announced.
    fn text(mut body: Encoded) -> Vec<u8> {
        let announced = body.size_hint().exact().unwrap();
        let mut text = Vec::new();
        while !body.is_end_stream() {
            let piece = body.next();
            assert!(!piece.is_empty() && piece.len() <= PIECE / 3 * 4 + 512);
            text.extend(piece);
        }
        assert!(body.next().is_empty());
        assert_eq!(announced, text.len() as u64);
        text
    }

    #[test]
    fn the_hand_written_answer_is_the_documented_type() {
        let budget = Budget::new(1 << 20);
        let mut err = output(&budget, b"xxx");
        err.left_out = 9;
        let out = output(&budget, b"a\0\xff");
        let answer = Answer { exit_code: 124, duration_ms: 17, timed_out: true, out, err };
        let text = text(Encoded::new(answer));
        let parsed: ExecResponse = serde_json::from_slice(&text).unwrap();
        assert_eq!((parsed.exit_code, parsed.duration_ms, parsed.timed_out), (124, 17, true));
        assert_eq!((parsed.stdout_b64.as_str(), parsed.stderr_b64.as_str()), ("YQD/", "eHh4"));
        assert_eq!((parsed.stdout_truncated_bytes, parsed.stderr_truncated_bytes), (0, 9));
        assert_eq!(
            serde_json::to_value(&parsed).unwrap(),
            serde_json::from_slice::<serde_json::Value>(&text).unwrap()
        );
    }

    #[test]
    fn the_budget_is_held_until_the_last_piece_and_no_longer() {
        let budget = Budget::new(1 << 20);
        let out = output(&budget, &[b'o'; 3 * PIECE]);
        let err = output(&budget, &[b'e'; PIECE]);
        let answer = Answer { exit_code: 0, duration_ms: 0, timed_out: false, out, err };
        let mut body = Encoded::new(answer);
        let whole = budget.held();
        assert!(whole >= 4 * PIECE);
        body.next();
        assert_eq!(budget.held(), whole);
        for _ in 0..2 {
            body.next();
        }
        assert!((1..whole).contains(&budget.held()), "standard output is given back");
        while !body.is_end_stream() {
            body.next();
        }
        assert_eq!(budget.held(), 0);
    }

    proptest! {
        #[test]
        fn any_output_comes_back(
            out in 0..4 * PIECE,
            err in 0..2 * PIECE,
        ) {
            let budget = Budget::new(1 << 20);
            let bytes = |n: usize| (0..n).map(|i| (i % 251) as u8).collect::<Vec<u8>>();
            let (out, err) = (bytes(out), bytes(err));
            let answer = Answer {
                exit_code: 1,
                duration_ms: 2,
                timed_out: false,
                out: output(&budget, &out),
                err: output(&budget, &err),
            };
            let parsed: ExecResponse = serde_json::from_slice(&text(Encoded::new(answer))).unwrap();
            let decode = |text: &str| base64_simd::STANDARD.decode_to_vec(text).unwrap();
            prop_assert_eq!(decode(&parsed.stdout_b64), out);
            prop_assert_eq!(decode(&parsed.stderr_b64), err);
        }
    }
}
