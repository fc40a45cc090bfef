//! Which headers cross the gateway. Pure.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::destination::Destination;
use crate::refusal::{ERROR_HEADER, Malformed};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// How a message's body is framed on the wire it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// A `Content-Length`, or none and no body.
    Plain,
}

/// Reads the framing.
///
/// Any transfer coding besides chunked is refused: the parser takes off only the chunks, and what
/// remains would be passed on under a wrong label.
pub(crate) fn framing(headers: &HeaderMap) -> Result<Framing, Malformed> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(Framing::Plain),
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => {
            Ok(Framing::Chunked)
        }
        _ => Err(Malformed("the only transfer coding understood is chunked")),
    }
}

/// The protocol asked for or agreed to, when `Connection` names `Upgrade`.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let named = connection_options(headers).any(|option| option.eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| named).cloned()
}

/// Makes a client's headers fit for the origin. `upgrade` is put back when it is to be asked for.
pub(crate) fn for_origin(
    headers: &mut HeaderMap,
    dest: &Destination,
    framing: Framing,
    upgrade: Option<&HeaderValue>,
) {
    let wants_trailers = headers.get_all(TE).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|v| v.split(',').any(|c| c.trim().eq_ignore_ascii_case("trailers")))
    });
    strip(headers);
    // `Host` follows from what was checked, whatever the client put there.
    if let Ok(host) = HeaderValue::from_str(&dest.host_header()) {
        headers.insert(HOST, host);
    }
    if framing == Framing::Chunked {
        headers.remove(CONTENT_LENGTH);
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.append(CONNECTION, HeaderValue::from_static("te"));
    }
    put_upgrade(headers, upgrade);
}

/// Makes an origin's headers fit for the client.
pub(crate) fn for_client(headers: &mut HeaderMap, upgrade: Option<&HeaderValue>) {
    strip(headers);
    // Only the gateway itself may say this.
    headers.remove(ERROR_HEADER);
    put_upgrade(headers, upgrade);
}

fn put_upgrade(headers: &mut HeaderMap, upgrade: Option<&HeaderValue>) {
    if let Some(protocol) = upgrade {
        headers.append(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol.clone());
    }
}

/// Removes what is meant for one hop only: the standard headers, everything `Proxy-*`, and what
/// `Connection` names.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = connection_options(headers)
        .filter_map(|option| HeaderName::from_bytes(option.as_bytes()).ok())
        // Framing is never up to the sender of a `Connection` header.
        .filter(|name| *name != CONTENT_LENGTH)
        .collect();
    let proxy: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("proxy-")).cloned().collect();
    let standard = [CONNECTION, KEEP_ALIVE, TE, TRANSFER_ENCODING, UPGRADE, HTTP2_SETTINGS];
    for name in named.into_iter().chain(proxy).chain(standard) {
        headers.remove(name);
    }
}

fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), HeaderValue::from_static(v)))
            .collect()
    }

    fn dest() -> Destination {
        Destination::parse("Example.com:8080", None).expect("valid")
    }

    #[test]
    fn one_hop_headers_stay_behind() {
        let mut headers = map(&[
            ("host", "evil.example"),
            ("host", "other.example"),
            ("connection", "close, X-Private"),
            ("connection", "host"),
            ("x-private", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip, trailers"),
            ("proxy-authorization", "Basic eDp5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-anything", "1"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("accept", "*/*"),
        ]);
        for_origin(&mut headers, &dest(), Framing::Plain, None);
        assert_eq!(
            headers,
            map(&[
                ("host", "example.com:8080"),
                ("te", "trailers"),
                ("connection", "te"),
                ("accept", "*/*")
            ])
        );
    }

    #[test]
    fn framing_is_ours() {
        let mut headers = map(&[
            ("connection", "content-length"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
        ]);
        assert_eq!(framing(&headers), Ok(Framing::Chunked));
        for_origin(&mut headers, &dest(), Framing::Chunked, None);
        assert_eq!(headers, map(&[("host", "example.com:8080"), ("transfer-encoding", "chunked")]));
        assert!(framing(&map(&[("transfer-encoding", "gzip, chunked")])).is_err());
        assert!(
            framing(&map(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]))
                .is_err()
        );
        assert_eq!(framing(&map(&[("content-length", "5")])), Ok(Framing::Plain));
    }

    #[test]
    fn upgrade_counts_only_when_connection_names_it() {
        assert_eq!(upgrade(&map(&[("upgrade", "websocket")])), None);
        let mut headers = map(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        let wanted = upgrade(&headers);
        assert_eq!(wanted, Some(HeaderValue::from_static("websocket")));
        for_origin(&mut headers, &dest(), Framing::Plain, wanted.as_ref());
        assert_eq!(
            headers,
            map(&[
                ("host", "example.com:8080"),
                ("connection", "upgrade"),
                ("upgrade", "websocket")
            ])
        );
    }

    #[test]
    fn origins_cannot_speak_for_the_gateway() {
        let mut headers = map(&[
            ("x-kernel-proxy-error", "destination_blocked"),
            ("proxy-authenticate", "Basic"),
            ("server", "x"),
        ]);
        for_client(&mut headers, None);
        assert_eq!(headers, map(&[("server", "x")]));
    }
}
