//! The body of `stdout/stream`: server-sent events written by hand into one buffer a frame, paced
//! by whoever reads.

use std::sync::Arc;

use browserd_guest_http::sse::{self, COMMENT, KEEPALIVE};
use bytes::Bytes;
use futures_util::stream;

use super::Process;
use super::spool::{Chunk, Stream};

/// Appends the standard base64 of `bytes`.
pub(super) fn append_base64(text: &mut Vec<u8>, bytes: &[u8]) {
    base64_simd::STANDARD.encode_append(bytes, text);
}

fn event(chunk: Chunk<'_>) -> (Vec<u8>, bool) {
    match chunk {
        Chunk::Data(stream, bytes) => {
            let head: &[u8] = match stream {
                Stream::Stderr => b"data: {\"stream\":\"stderr\",\"data_b64\":\"",
                _ => b"data: {\"stream\":\"stdout\",\"data_b64\":\"",
            };
            let length = base64_simd::STANDARD.encoded_length(bytes.len());
            let mut text = Vec::with_capacity(head.len() + length + 4);
            text.extend_from_slice(head);
            append_base64(&mut text, bytes);
            text.extend_from_slice(b"\"}\n\n");
            (text, false)
        }
        Chunk::Gap(lost) => {
            let text = format!(
                "data: {{\"stream\":\"stdout\",\"data_b64\":\"\",\"dropped_bytes\":{lost}}}\n\n"
            );
            (text.into(), false)
        }
        Chunk::End(code) => {
            (format!("data: {{\"event\":\"exit\",\"exit_code\":{code}}}\n\n").into(), true)
        }
        Chunk::Gone => (Vec::new(), true),
    }
}

/// Frames of the event stream, read when asked for. The process is held until then: its record may
/// be forgotten meanwhile, its output must not go before its readers have come to the end.
fn frames(process: Arc<Process>) -> impl futures_util::Stream<Item = Bytes> {
    let reader = process.output.reader();
    stream::unfold(Some((reader, process)), async |held| {
        let (mut reader, process) = held?;
        loop {
            match reader.next(event) {
                Some((frame, true)) if frame.is_empty() => return None,
                Some((frame, last)) => {
                    return Some((frame.into(), (!last).then_some((reader, process))));
                }
                None => {}
            }
            if tokio::time::timeout(KEEPALIVE, reader.changed()).await.is_err() {
                return Some((COMMENT, Some((reader, process))));
            }
        }
    })
}

/// The events of a process's output as a response body.
pub(super) fn body(process: Arc<Process>) -> axum::body::Body {
    sse::body(frames(process))
}
