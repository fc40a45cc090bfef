//! Which headers cross, in each direction.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Belong to one connection (RFC 9110, section 7.6.1), or speak to proxies.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// The client's business with us, none of the guest's.
const OURS: [&str; 8] =
    ["authorization", "cookie", "expect", "forwarded", "host", "origin", "referer", "via"];

/// Prefixes of the same.
const OURS_PREFIX: [&str; 5] =
    ["x-forwarded-", "x-stainless-", "x-kernel-", "x-browserd-", "x-real-ip"];

/// Everything a guest may say about its answer. What is not here does not cross: cookies, redirects,
/// permissions for scripts and the like would speak in our name.
const FROM_GUEST: [&str; 15] = [
    "accept-ranges",
    "allow",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-type",
    "etag",
    "last-modified",
    "retry-after",
    "x-accel-buffering",
    "x-should-retry",
    "x-sse-content-type",
];

/// The request's headers for the guest.
pub(crate) fn to_guest(headers: &HeaderMap, websocket: bool) -> HeaderMap {
    let named = named_by_connection(headers);
    let crosses = |name: &HeaderName| {
        let name = name.as_str();
        !HOP_BY_HOP.contains(&name)
            && !OURS.contains(&name)
            && !OURS_PREFIX.iter().any(|prefix| name.starts_with(prefix))
            && !named.iter().any(|named| named.eq_ignore_ascii_case(name))
    };
    let mut out: HeaderMap = headers
        .iter()
        .filter(|(name, _)| crosses(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if websocket {
        out.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        out.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
    out
}

/// The guest's headers for the client.
pub(crate) fn from_guest(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| FROM_GUEST.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The headers of a guest's 101 that belong to the handshake.
pub(crate) fn handshake(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("sec-websocket-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Keeps content from inside a session from acting as a page of this server.
pub(crate) fn harden(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

fn named_by_connection(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        // Ends where bodies begin: a client must not make us drop the length of its body.
        .filter(|name| !name.eq_ignore_ascii_case("content-length") && !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn secrets_and_hops_do_not_reach_the_guest() {
        let out = to_guest(
            &map(&[
                ("authorization", "Bearer sk_1"),
                ("cookie", "a=b"),
                ("x-forwarded-for", "1.2.3.4"),
                ("x-stainless-lang", "python"),
                ("x-kernel-project", "default"),
                ("x-browserd-webdriver-url", "ws://evil"),
                ("connection", "close, X-Mine"),
                ("x-mine", "1"),
                ("transfer-encoding", "chunked"),
                ("content-type", "application/json"),
                ("content-length", "2"),
                ("x-request-id", "r1"),
                ("accept", "*/*"),
            ]),
            false,
        );
        let mut names: Vec<&str> = out.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "content-length", "content-type", "x-request-id"]);
    }

    #[test]
    fn the_length_of_a_body_cannot_be_hidden() {
        let out =
            to_guest(&map(&[("connection", "content-length"), ("content-length", "2")]), false);
        assert!(out.contains_key("content-length"));
    }

    #[test]
    fn what_a_guest_says_in_our_name_is_dropped() {
        let out = from_guest(&map(&[
            ("content-type", "text/html"),
            ("set-cookie", "a=b"),
            ("location", "https://evil.example"),
            ("server", "evil"),
            ("access-control-allow-origin", "*"),
            ("strict-transport-security", "max-age=1"),
            ("clear-site-data", "*"),
            ("x-request-id", "forged"),
            ("www-authenticate", "Basic"),
            ("connection", "close"),
        ]));
        assert_eq!(out.len(), 1);
        assert_eq!(out["content-type"], "text/html");
    }
}
