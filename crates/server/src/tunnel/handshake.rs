//! The WebSocket handshake: read from the client, repeated towards the inside by hand, so that the
//! client's own key, extensions and protocols are the ones agreed on.

use std::io;
use std::time::Duration;

use browserd_api::ErrorCode;
use browserd_rest::{Error, refusals};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

refusals! {
    /// Reading the client's half of a handshake.
    pub(crate) UpgradeToWebSocket: UpgradeRequired;
}

/// Longest answer head taken from the inside, bytes.
const HEAD_LIMIT: usize = 16 << 10;

/// Most headers taken from the inside.
const HEADERS_LIMIT: usize = 64;

/// How long the inside may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Headers repeated both ways.
pub(super) const REPEATED: [HeaderName; 5] = [
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_ACCEPT,
];

/// Whether a request asks for a WebSocket.
pub(crate) fn asks(headers: &HeaderMap) -> bool {
    let has = |name: HeaderName, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token)))
    };
    has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket")
}

/// The client's half of a handshake, checked.
#[derive(Debug)]
pub(crate) struct WebSocketRequest {
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl WebSocketRequest {
    /// Reads it off a request; refuses with 426 what is no WebSocket handshake.
    pub(crate) fn read(method: &Method, headers: &HeaderMap) -> Result<Self, Error> {
        let version = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|v| v == "13");
        // Any key will do, as it does for Chromium: there are clients (go-rod) that send a fixed word.
        let key = headers.get(header::SEC_WEBSOCKET_KEY).is_some_and(|key| !key.is_empty());
        if method != Method::GET || !asks(headers) || !version || !key {
            return Err(Error::new(
                ErrorCode::UpgradeRequired,
                "this route speaks WebSocket (version 13) only; connect with a WebSocket client",
            ));
        }
        let repeated = REPEATED.iter().flat_map(|name| {
            headers.get_all(name).iter().map(|value| (name.clone(), value.clone()))
        });
        Ok(Self { headers: repeated.collect() })
    }

    /// The request as it goes inside. No origin, no cookies, nothing else of the client's.
    pub(super) fn bytes(&self, host: &str, path: &str) -> Vec<u8> {
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        )
        .into_bytes();
        for (name, value) in &self.headers {
            head.extend(name.as_str().as_bytes());
            head.extend(b": ");
            head.extend(value.as_bytes());
            head.extend(b"\r\n");
        }
        head.extend(b"\r\n");
        head
    }
}

/// The answer of the inside.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 101, or why not.
    pub(crate) status: StatusCode,
    /// The headers that belong to the handshake.
    pub(crate) headers: HeaderMap,
    /// What came after the head.
    pub(crate) leftover: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// It took too long.
    #[error("no answer within {} seconds", TIMEOUT.as_secs())]
    TimedOut,
    /// The answer is no HTTP, or its head is too large.
    #[error("the answer is not a handshake: {0}")]
    Malformed(&'static str),
}

/// Performs the handshake on `stream`.
pub(crate) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    request: &WebSocketRequest,
    host: &str,
    path: &str,
) -> Result<Answer, HandshakeError> {
    let exchange = async {
        stream.write_all(&request.bytes(host, path)).await?;
        read_answer(stream).await
    };
    tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| HandshakeError::TimedOut)?
}

pub(super) async fn read_answer<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Result<Answer, HandshakeError> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(HandshakeError::Malformed("it ended early"));
        }
        if let Some(answer) = parse(&bytes)? {
            return Ok(answer);
        }
        if bytes.len() >= HEAD_LIMIT {
            return Err(HandshakeError::Malformed("its head is too large"));
        }
    }
}

/// `None` while the head is not complete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Answer>, HandshakeError> {
    let mut fields = [httparse::EMPTY_HEADER; HEADERS_LIMIT];
    let mut response = httparse::Response::new(&mut fields);
    let status = response.parse(bytes).map_err(|_| HandshakeError::Malformed("it is no HTTP"))?;
    let httparse::Status::Complete(length) = status else { return Ok(None) };
    if length > HEAD_LIMIT {
        return Err(HandshakeError::Malformed("its head is too large"));
    }
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let mut headers = HeaderMap::new();
    for field in response.headers.iter() {
        if let Some(name) =
            REPEATED.iter().find(|name| field.name.eq_ignore_ascii_case(name.as_str()))
            && let Ok(value) = HeaderValue::from_bytes(field.value)
        {
            headers.append(name, value);
        }
    }
    Ok(Some(Answer {
        status: status.ok_or(HandshakeError::Malformed("it has no status"))?,
        headers,
        leftover: Bytes::copy_from_slice(&bytes[length..]),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn handshake() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(
            header::SEC_WEBSOCKET_KEY,
            HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="),
        );
        headers.insert(
            header::SEC_WEBSOCKET_EXTENSIONS,
            HeaderValue::from_static("permessage-deflate"),
        );
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        headers.insert(header::COOKIE, HeaderValue::from_static("a=b"));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer sk_1"));
        headers
    }

    fn request() -> WebSocketRequest {
        WebSocketRequest::read(&Method::GET, &handshake()).unwrap()
    }

    #[test]
    fn any_key_is_taken_and_goes_inside() {
        for key in ["nil", "x", "not base64!", &"k".repeat(300)] {
            let mut headers = handshake();
            headers.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_str(key).unwrap());
            let request = WebSocketRequest::read(&Method::GET, &headers).unwrap();
            let head = String::from_utf8(request.bytes("127.0.0.1:9222", "/")).unwrap();
            assert!(head.contains(&format!("sec-websocket-key: {key}\r\n")), "{head}");
        }
    }

    #[test]
    fn the_inside_sees_the_handshake_and_nothing_else() {
        let head =
            String::from_utf8(request().bytes("127.0.0.1:9222", "/devtools/page/1")).unwrap();
        assert!(head.starts_with("GET /devtools/page/1 HTTP/1.1\r\nHost: 127.0.0.1:9222\r\n"));
        assert!(head.contains("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
        assert!(head.contains("sec-websocket-extensions: permessage-deflate\r\n"));
        for secret in ["evil", "a=b", "sk_1"] {
            assert!(!head.contains(secret));
        }
    }

    #[test]
    fn what_is_no_handshake_needs_an_upgrade() {
        let error = WebSocketRequest::read(&Method::GET, &HeaderMap::new()).unwrap_err();
        assert_eq!(error.0.code(), ErrorCode::UpgradeRequired);
        let mut empty = handshake();
        empty.insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static(""));
        let error = WebSocketRequest::read(&Method::GET, &empty).unwrap_err();
        assert_eq!(error.0.code(), ErrorCode::UpgradeRequired);
    }

    #[test]
    fn answers_are_parsed_and_bounded() {
        let whole = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nSet-Cookie: a=b\r\n\r\n\x81\x00";
        for cut in 0..whole.len() - 2 {
            assert!(parse(&whole[..cut]).unwrap().is_none(), "{cut}");
        }
        let answer = parse(whole).unwrap().unwrap();
        assert_eq!(answer.status, StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(answer.headers.len(), 1);
        assert_eq!(&answer.leftover[..], b"\x81\x00");
        assert!(parse(b"SSH-2.0-OpenSSH\r\n").is_err());
    }

    #[tokio::test]
    async fn an_endless_head_is_given_up() {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        let flood = tokio::spawn(async move {
            let mut line = b"HTTP/1.1 101 x\r\nA: ".to_vec();
            line.extend(vec![b'a'; 1 << 17]);
            let _ = theirs.write_all(&line).await;
        });
        let error = open(&mut ours, &request(), "h", "/").await.unwrap_err();
        assert!(matches!(error, HandshakeError::Malformed(_)), "{error}");
        drop(ours);
        flood.await.unwrap();
    }

    proptest! {
        #[test]
        fn no_answer_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"HTTP/1.1 101 x\r\n".to_vec(), bytes].concat());
        }
    }
}
