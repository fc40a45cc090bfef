//! Which headers cross, in each direction.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

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

/// What a target's answer, streamed through a guest, may not say: it would act on the client in our
/// name. Everything else crosses.
const NOT_FROM_TARGET: [&str; 31] = [
    "accept-ch",
    "alt-svc",
    "clear-site-data",
    "content-security-policy",
    "content-security-policy-report-only",
    "critical-ch",
    "cross-origin-embedder-policy",
    "cross-origin-embedder-policy-report-only",
    "cross-origin-opener-policy",
    "cross-origin-opener-policy-report-only",
    "cross-origin-resource-policy",
    "document-policy",
    "expect-ct",
    "feature-policy",
    "location",
    "nel",
    "no-vary-search",
    "origin-agent-cluster",
    "origin-trial",
    "permissions-policy",
    "public-key-pins",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-cookie",
    "set-login",
    "speculation-rules",
    "strict-transport-security",
    "www-authenticate",
    "x-request-id",
];

/// Prefixes of the same.
const NOT_FROM_TARGET_PREFIX: [&str; 3] = ["access-control-", "x-browserd-", "x-kernel-"];

/// Where a target's redirect leads, as the guest tells it.
const TARGET_LOCATION: &str = "x-target-location";

/// The headers of an answer that a guest streams from a web server to the client.
///
/// A redirect leads to the same route again with the place it named, so that a client that follows it
/// asks through the browser too; `token` is the session's, when the client came with one.
pub(crate) fn from_target(
    status: StatusCode,
    headers: &HeaderMap,
    token: Option<&str>,
) -> HeaderMap {
    let crosses = |name: &HeaderName| {
        let name = name.as_str();
        !HOP_BY_HOP.contains(&name)
            && !NOT_FROM_TARGET.contains(&name)
            && !NOT_FROM_TARGET_PREFIX.iter().any(|prefix| name.starts_with(prefix))
    };
    let mut out: HeaderMap = headers
        .iter()
        .filter(|(name, _)| crosses(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if status.is_redirection()
        && let Some(there) = headers.get(TARGET_LOCATION)
    {
        let mut again = String::from("?url=");
        again.extend(percent_encode(there.as_bytes(), NON_ALPHANUMERIC));
        if let Some(token) = token {
            again.push_str("&jwt=");
            again.extend(percent_encode(token.as_bytes(), NON_ALPHANUMERIC));
        }
        if let Ok(again) = HeaderValue::from_str(&again) {
            out.insert(header::LOCATION, again);
        }
    }
    out
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

    #[test]
    fn a_target_speaks_for_itself_only() {
        let out = from_target(
            StatusCode::OK,
            &map(&[
                ("content-type", "text/html"),
                ("x-anything", "1"),
                ("link", "</2>; rel=next"),
                ("set-cookie", "a=b"),
                ("x-target-set-cookie", "a=b"),
                ("location", "https://evil.example"),
                ("access-control-allow-origin", "*"),
                ("content-security-policy", "default-src *"),
                ("strict-transport-security", "max-age=1"),
                ("x-request-id", "forged"),
                ("connection", "close"),
            ]),
            None,
        );
        let mut names: Vec<&str> = out.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "link", "x-anything", "x-target-set-cookie"]);
    }

    #[test]
    fn a_redirect_leads_through_the_browser_again() {
        let there = map(&[("x-target-location", "https://a.example/?b=c&jwt=d")]);
        let status = StatusCode::FOUND;
        let by_key = from_target(status, &there, None);
        assert_eq!(by_key["location"], "?url=https%3A%2F%2Fa%2Eexample%2F%3Fb%3Dc%26jwt%3Dd");
        let by_token = from_target(status, &there, Some("x.y&z"));
        assert!(by_token["location"].to_str().unwrap().ends_with("&jwt=x%2Ey%26z"));
        assert!(!from_target(StatusCode::OK, &there, None).contains_key("location"));
    }
}
