//! Answers that are no proper HTTP, and that browsers take all the same: passed on as they came, for the client
//! to make of them what it would without a gateway.
//!
//! Nobody but the client knows where such an answer ends. So nothing else goes over either connection: it is
//! passed on until the origin ends it, and what the client sends meanwhile ends it as well, lest a request reach
//! an origin it was not meant for. A browser sends such a request again, over a connection of its own.

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::debug;

use crate::refusal::ERROR_HEADER;
use crate::stream::Stream;
use crate::tape::LONGEST;

/// Bytes read at a time.
const PIECE: usize = 16 * 1024;

/// An answer of which only the head was read.
pub(crate) struct OddAnswer {
    upstream: Stream,
    read: Bytes,
}

impl OddAnswer {
    /// Reads the rest of the head; none: there is no answer, or none that may be passed on.
    pub(crate) async fn read(mut upstream: Stream, mut read: Vec<u8>) -> Option<Self> {
        let mut piece = vec![0; PIECE];
        while !head_is_whole(&read) {
            if read.len() >= LONGEST {
                return None;
            }
            match upstream.read(&mut piece).await {
                Ok(0) => break,
                Ok(length) => read.extend_from_slice(piece.get(..length).unwrap_or_default()),
                Err(_) if read.is_empty() => return None,
                Err(_) => break,
            }
        }
        let fit = !read.is_empty() && may_pass(&read);
        fit.then(|| Self { upstream, read: read.into() })
    }

    /// Passes it on to its end.
    pub(crate) async fn pass_on(self, mut client: TcpStream) {
        let Self { mut upstream, read } = self;
        let (mut from_client, mut to_client) = client.split();
        let answer = async {
            to_client.write_all(&read).await?;
            copy(&mut upstream, &mut to_client).await
        };
        let outcome = tokio::select! {
            outcome = answer => outcome,
            // Its end, or a request that is not for this origin.
            _ = from_client.read_u8() => return,
        };
        if let Err(error) = outcome {
            debug!(%error, "an answer broke off");
            client.set_zero_linger().ok();
        }
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(piece.get(..length).unwrap_or_default()).await?;
    }
}

/// The head, with its end; all there is when it has none. None: what comes is no head, which Chromium takes for
/// an answer of HTTP/0.9. It looks for the version among the first bytes only
/// (`HttpUtil::LocateStartOfStatusLine`).
fn head(bytes: &[u8]) -> Option<(&[u8], bool)> {
    const SEARCHED: usize = 8;
    let first = bytes.get(..SEARCHED).unwrap_or(bytes).to_ascii_lowercase();
    let named = |name: &[u8]| first.windows(name.len()).any(|part| part == name);
    // Of too few bytes nothing can be said.
    if bytes.len() >= SEARCHED && !named(b"http") && !named(b"icy") {
        return None;
    }
    // As browsers look for it: an empty line, with or without a carriage return.
    let end = (0..bytes.len()).find(|at| {
        let rest = bytes.get(*at..).unwrap_or_default();
        rest.starts_with(b"\n\n") || rest.starts_with(b"\n\r\n")
    });
    match end {
        Some(end) => bytes.get(..end).map(|head| (head, true)),
        None => Some((bytes, false)),
    }
}

/// Whether a body in chunks begins with one that is none, or whose line ends without a carriage return. Of what has
/// not come yet nothing is known.
pub(crate) fn has_odd_chunks(answer: &[u8]) -> bool {
    let Some((head, true)) = head(answer) else { return false };
    let rest = answer.get(head.len()..).unwrap_or_default();
    let rest = rest.strip_prefix(b"\n\r\n").or_else(|| rest.strip_prefix(b"\n\n"));
    let Some(chunk) = rest.filter(|rest| !rest.is_empty()) else { return false };
    let is_digit = chunk.first().is_some_and(u8::is_ascii_hexdigit);
    let line = chunk.iter().position(|byte| *byte == b'\n').and_then(|end| chunk.get(..end));
    !is_digit || line.is_some_and(|line| !line.ends_with(b"\r"))
}

fn head_is_whole(bytes: &[u8]) -> bool {
    head(bytes).is_none_or(|(_, whole)| whole)
}

/// Whether a client cannot take it for something the gateway says: a refusal, the wish for credentials, the
/// agreement to another protocol, or an answer that others follow.
fn may_pass(bytes: &[u8]) -> bool {
    let Some((head, _)) = head(bytes) else { return true };
    let head = head.to_ascii_lowercase();
    let name = ERROR_HEADER;
    let name = name.as_str().as_bytes();
    if head.windows(name.len()).any(|part| part == name) {
        return false;
    }
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // The status is the first number after the version, wherever that is.
    let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let status = words.skip(1).find(|word| word.first().is_some_and(u8::is_ascii_digit));
    !status.is_some_and(|status| status.starts_with(b"1") || status.starts_with(b"407"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_an_empty_line() {
        for (bytes, whole) in [
            ("", false),
            ("HTTP", false),
            ("HTTP/1.1 200 OK\r\n", false),
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", true),
            ("HTTP/1.1 200 OK\nA: b\n\nx", true),
            ("\r\nhttp/1.1 200 OK\n\r\n", true),
            ("ICY 200 OK\r\n", false),
            ("<html>hello", true),
            ("SSH-2.0-x\r\n", true),
        ] {
            assert_eq!(head_is_whole(bytes.as_bytes()), whole, "{bytes:?}");
        }
    }

    #[test]
    fn the_first_chunk_is_looked_at() {
        for (body, odd) in [
            ("", false),
            ("2", false),
            ("2\r\nhi\r\n", false),
            ("A;b=c\r\n", false),
            ("2\nhi\n", true),
            ("hi", true),
            ("\r\n", true),
        ] {
            for end in ["\n\n", "\n\r\n"] {
                let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked{end}{body}");
                assert_eq!(has_odd_chunks(answer.as_bytes()), odd, "{answer:?}");
            }
        }
    }

    #[test]
    fn nothing_passes_that_only_the_gateway_may_say() {
        for (bytes, passes) in [
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nX-Kernel-Proxy-Error : destination_blocked\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\n x-KERNEL-proxy-error: a\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\nx-kernel-proxy-error", true),
            ("HTTP/1.1 407 No\r\nA : b\r\n\r\n", false),
            ("HTTP/1.1  407\n\n", false),
            ("HTTP/1.1 101 Yes\r\nA : b\r\n\r\n", false),
            ("HTTP/1.1 100 Continue\r\nA : b\r\n\r\nHTTP/1.1 407 No\r\n\r\n", false),
            ("ICY 200 OK\r\n\r\n", true),
            ("HTTP/1.1\r\n\r\n", true),
        ] {
            assert_eq!(may_pass(bytes.as_bytes()), passes, "{bytes:?}");
        }
    }
}
