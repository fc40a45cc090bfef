//! Headers on their way to the target and back.

use std::collections::BTreeMap;

use browserd_rest::Error;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, json};

use super::answer::Head;

/// Order in which the browser sends what it sends with a navigation. Remote debugging tells them in
/// another, and how a request looks is part of what makes it a browser's.
const ORDER: [&str; 19] = [
    "cache-control",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "upgrade-insecure-requests",
    "origin",
    "content-type",
    "user-agent",
    "accept",
    "sec-purpose",
    "sec-fetch-site",
    "sec-fetch-mode",
    "sec-fetch-user",
    "sec-fetch-dest",
    "referer",
    "accept-encoding",
    "accept-language",
    "cookie",
    "priority",
];

/// Headers of a client's request to `curl/raw` that are about its connection to us. What the body is
/// encoded in on the way to the client is between it and us, too.
const CLIENTS: [&str; 9] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Headers of an answer that are about the browser's connection, or would let the target speak in
/// the name of whoever answers the client.
const TARGETS: [&str; 6] =
    ["connection", "keep-alive", "proxy-connection", "trailer", "transfer-encoding", "upgrade"];

/// Those that clients get under another name: the browser has acted on the first, and the others
/// would act on the client.
const RENAMED: [(&str, &str); 3] = [
    ("set-cookie", "x-target-set-cookie"),
    ("location", "x-target-location"),
    ("www-authenticate", "x-target-www-authenticate"),
];

/// The browser's headers with the given ones laid over them, as `Fetch.continueRequest` takes them.
pub(super) fn merge(browser: BTreeMap<String, String>, given: &[(String, String)]) -> Value {
    let is_given = |name: &str| given.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut all: Vec<(String, String)> = browser
        .into_iter()
        .filter(|(name, _)| !is_given(name))
        .chain(given.iter().cloned())
        .collect();
    let place = |name: &str| {
        ORDER.iter().position(|known| known.eq_ignore_ascii_case(name)).unwrap_or(ORDER.len())
    };
    all.sort_by_key(|(name, _)| place(name));
    all.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// The headers of a JSON request, each checked.
pub(super) fn checked(headers: BTreeMap<String, String>) -> Result<Vec<(String, String)>, Error> {
    for (name, value) in &headers {
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            return Err(Error::field("headers", format!("{name:?} is not a header's name")));
        }
        if HeaderValue::from_bytes(value.as_bytes()).is_err() {
            let message = "the value has line breaks or other control characters";
            return Err(Error::field(format!("headers.{name}"), message));
        }
    }
    Ok(headers.into_iter().collect())
}

/// The headers of a client's request to `curl/raw` that are for the target. An SDK's own headers are
/// not, which its `User-Agent` gives away.
pub(super) fn for_target(headers: &HeaderMap, has_body: bool) -> Vec<(String, String)> {
    let sdk = headers.get(header::USER_AGENT).is_some_and(|agent| {
        agent.as_bytes().starts_with(b"Kernel/") || agent.as_bytes().starts_with(b"AsyncKernel/")
    });
    let json = |value: &HeaderValue| value.as_bytes() == b"application/json";
    let mut given: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        let ours = CLIENTS.contains(&name.as_str())
            || (sdk && *name == header::USER_AGENT)
            // Node's, which says nothing. Python's says JSON, just as somebody might who means it.
            || (sdk && *name == header::ACCEPT && value == "*/*")
            || (sdk && !has_body && *name == header::CONTENT_TYPE && json(value));
        if ours {
            continue;
        }
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        match given.iter_mut().find(|(known, _)| known == name.as_str()) {
            Some((_, values)) => {
                values.push_str(", ");
                values.push_str(&value);
            }
            None => given.push((name.as_str().to_owned(), value)),
        }
    }
    given
}

/// The headers of a streamed answer.
pub(super) fn for_client(answer: &Head) -> HeaderMap {
    let decoded = answer.decoded();
    let mut out = HeaderMap::new();
    for (name, value) in &answer.headers {
        let name = name.to_ascii_lowercase();
        let renamed = RENAMED.iter().find(|(from, _)| *from == name).map(|(_, to)| *to);
        let name = renamed.unwrap_or(&name);
        let length = name == "content-length";
        if TARGETS.contains(&name)
            || (decoded && (length || name == "content-encoding"))
            // No body comes with these, whatever the target says.
            || (length && (300..400).contains(&answer.status))
        {
            continue;
        }
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()))
        {
            out.append(name, value);
        }
    }
    if let Some(there) = answer.redirection()
        && let Ok(there) = HeaderValue::from_str(there.as_str())
    {
        out.insert("x-target-location", there);
    }
    // A client must not repeat a request because of what the target said to it.
    out.insert("x-should-retry", HeaderValue::from_static("false"));
    out
}

/// The headers of an answer in JSON, each name in the one form `Content-Type`.
pub(super) fn as_json(headers: Vec<(String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut out = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in headers {
        out.entry(canonical(&name)).or_default().push(value);
    }
    out
}

/// HTTP/2 writes names small and HTTP/1 as it likes; here they are always `Content-Type`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let c = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            upper = c == '-';
            c
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn given_headers_replace_the_browsers_and_keep_its_order() {
        let browser = [("Accept", "*/*"), ("User-Agent", "Chrome"), ("sec-ch-ua", "x")];
        let browser = browser.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let given =
            [("user-agent".to_owned(), "me".to_owned()), ("X-A".to_owned(), "1".to_owned())];
        let merged = merge(browser.into(), &given);
        let names: Vec<&str> =
            merged.as_array().unwrap().iter().map(|h| h["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["sec-ch-ua", "user-agent", "Accept", "X-A"]);
    }

    #[test]
    fn what_an_sdk_adds_does_not_reach_the_target() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("user-agent", "Kernel/Python 0.131.0"),
            ("accept", "*/*"),
            ("content-type", "application/json"),
            ("accept-encoding", "gzip"),
            ("x-mine", "1"),
            ("x-mine", "2"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let mine = ("x-mine".to_owned(), "1, 2".to_owned());
        assert_eq!(for_target(&headers, false), std::slice::from_ref(&mine));
        headers.insert("accept", "application/json".parse().unwrap());
        assert_eq!(for_target(&headers, false).len(), 2);
        headers.remove("accept");
        let typed = ("content-type".to_owned(), "application/json".to_owned());
        // A removal changes the order of a map.
        let mut sent = for_target(&headers, true);
        sent.sort();
        assert_eq!(sent, [typed, mine]);
        headers.insert("user-agent", "curl/8".parse().unwrap());
        assert_eq!(for_target(&headers, false).len(), 3);
    }

    #[test]
    fn bad_headers_are_refused_by_name() {
        assert!(checked([("a b".into(), "x".into())].into()).is_err());
        assert!(checked([("a".into(), "x\r\ny: z".into())].into()).is_err());
        assert!(checked([("A".into(), "caf\u{e9}".into())].into()).is_ok());
    }

    proptest! {
        #[test]
        fn names_have_one_form(name in "[A-Za-z0-9-]{0,20}") {
            let form = canonical(&name);
            prop_assert!(form.eq_ignore_ascii_case(&name));
            prop_assert_eq!(canonical(&name.to_ascii_uppercase()), form);
        }
    }
}
