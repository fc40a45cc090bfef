//! The WebSocket handshake as every WebSocket of the guest answers it.

use axum::body::Body;
use axum::response::Response;
use browserd_api::ErrorCode;
use browserd_rest::{Error, Result};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Whether a request asks for a WebSocket.
pub fn asks(headers: &HeaderMap) -> bool {
    let has = |name: HeaderName, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    has(header::UPGRADE, "websocket") && has(header::CONNECTION, "upgrade")
}

/// The answer that opens the WebSocket a request asks for, or 426.
///
/// Any key will do, as it does for Chromium: it only proves that the answer belongs to the request, and
/// there are clients (go-rod) that send a fixed word.
pub fn accept<B>(request: &Request<B>) -> Result<Response> {
    let refuse = |message: &str| Error::new(ErrorCode::UpgradeRequired, message);
    let headers = request.headers();
    if request.method() != Method::GET || request.version() != Version::HTTP_11 || !asks(headers) {
        return Err(refuse(
            "this route speaks WebSocket only; connect to it with a WebSocket client",
        ));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refuse("this route speaks WebSocket version 13 (Sec-WebSocket-Version)"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| refuse("the WebSocket handshake has no Sec-WebSocket-Key"))?;
    let accept =
        HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(Error::internal)?;

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handshake(key: &[u8]) -> Request<()> {
        Request::builder()
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", key)
            .body(())
            .unwrap()
    }

    #[test]
    fn any_key_opens_one() {
        // The example of RFC 6455, section 1.3.
        let answer = accept(&handshake(b"dGhlIHNhbXBsZSBub25jZQ==")).unwrap();
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(answer.headers()[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for key in [&b"nil"[..], b"x", b"not base64!", b"\xff", &[b'k'; 300]] {
            let answer = accept(&handshake(key)).unwrap();
            assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS, "{key:?}");
        }
    }

    #[test]
    fn what_is_no_handshake_needs_an_upgrade() {
        let mut post = handshake(b"nil");
        *post.method_mut() = Method::POST;
        let mut old = handshake(b"nil");
        old.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("8"));
        let mut ancient = handshake(b"nil");
        *ancient.version_mut() = Version::HTTP_10;
        for request in [Request::new(()), post, old, ancient, handshake(b"")] {
            let error = accept(&request).unwrap_err();
            assert_eq!(error.0.code(), ErrorCode::UpgradeRequired, "{request:?}");
        }
    }
}
