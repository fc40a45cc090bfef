//! The targets of this module.

use http::{HeaderMap, HeaderName, StatusCode, header};

use super::{CallError, call, file, headers};
use crate::fuzzing::headers::{first_line, headers as read};

/// What never crosses, in any direction: it is about one connection.
const HOP: [&str; 8] = [
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "http2-settings",
];
/// What no guest hears: the client's secrets, and words of ours.
const SECRET: [&str; 5] = ["authorization", "cookie", "host", "origin", "referer"];
/// What nobody inside may say in our name.
const VOICE: [&str; 6] = [
    "set-cookie",
    "strict-transport-security",
    "clear-site-data",
    "www-authenticate",
    "x-request-id",
    "service-worker-allowed",
];

/// A status line's number, and headers: whatever they are, none crosses that must not.
pub(crate) fn relayed_headers(data: &[u8]) {
    let (status, rest) = first_line(data);
    let given = read(rest);
    for websocket in [false, true] {
        let crossed = headers::to_guest(&given, websocket);
        lacks(&crossed, &HOP);
        lacks(&crossed, &SECRET);
        assert_eq!(crossed.contains_key(header::CONNECTION), websocket);
        assert_eq!(crossed.contains_key(header::UPGRADE), websocket);
        let length = header::CONTENT_LENGTH;
        assert_eq!(crossed.contains_key(&length), given.contains_key(&length));
        for name in crossed.keys().map(HeaderName::as_str) {
            let ours = ["x-kernel-", "x-browserd-", "x-forwarded-", "x-stainless-"];
            assert!(!ours.iter().any(|prefix| name.starts_with(prefix)), "{name}");
        }
        subset(&crossed, &given, &[header::CONNECTION, header::UPGRADE]);
    }
    let mut answer = headers::from_guest(&given);
    lacks(&answer, &HOP);
    lacks(&answer, &VOICE);
    lacks(&answer, &["connection", "upgrade", "location", "access-control-allow-origin"]);
    subset(&answer, &given, &[]);
    headers::harden(&mut answer);
    assert_eq!(answer["x-content-type-options"], "nosniff");
    let handshake = headers::handshake(&given);
    assert!(handshake.keys().all(|name| name.as_str().starts_with("sec-websocket-")));
    subset(&handshake, &given, &[]);
    let status = status.parse().unwrap_or(StatusCode::OK);
    if let Some(offer) = file::offered(status, &given) {
        assert!(status.is_success() && offer.from <= offer.to);
        assert_eq!(given["x-browserd-file"], offer.to_string());
    }
    target(status, &given);
}

/// A web server's answer through a guest: a redirect leads to this route again and nowhere else.
fn target(status: StatusCode, given: &HeaderMap) {
    let answer = headers::from_target(status, given, Some("x.y&z"));
    lacks(&answer, &HOP);
    lacks(&answer, &VOICE);
    lacks(&answer, &["connection", "upgrade", "content-security-policy", "refresh"]);
    assert!(!answer.keys().any(|name| name.as_str().starts_with("access-control-")));
    subset(&answer, given, &[header::LOCATION]);
    if let Some(location) = answer.get(header::LOCATION) {
        assert!(status.is_redirection());
        let location = location.to_str().unwrap();
        let place = location.strip_prefix("?url=").unwrap().strip_suffix("&jwt=x%2Ey%26z");
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'%';
        assert!(place.unwrap().bytes().all(safe), "{location}");
    }
}

fn lacks(crossed: &HeaderMap, names: &[&str]) {
    for name in names {
        assert!(!crossed.contains_key(*name), "{name} has crossed");
    }
}

/// Nothing is there that was not given, but for `ours`.
fn subset(crossed: &HeaderMap, given: &HeaderMap, ours: &[HeaderName]) {
    for (name, value) in crossed.iter().filter(|(name, _)| !ours.contains(name)) {
        assert!(given.get_all(name).iter().any(|known| known == value), "{name}: {value:?}");
    }
}

/// What a guest refuses with, below a line with its status: passed on only where it is a refusal,
/// and never as one about keys.
pub(crate) fn guest_refusal(data: &[u8]) {
    let (status, body) = first_line(data);
    let status = status.parse().unwrap_or(StatusCode::BAD_REQUEST);
    match call::refused(status, body) {
        CallError::Refused(refusal) => {
            let code = refusal.code();
            assert_eq!(code.status(), status.as_u16());
            assert_ne!(code, browserd_api::ErrorCode::Unauthorized);
            serde_json::to_vec(refusal.body()).unwrap();
        }
        CallError::Misspoken(said) => assert_eq!(said, status),
        other => panic!("{other:?}"),
    }
}
