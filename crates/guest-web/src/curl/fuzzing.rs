//! The targets of this module.

use std::collections::BTreeMap;

use browserd_chromium::cdp::Event;
use browserd_rest::Error;
use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;
use url::Url;

use super::answer::Head;
use super::events::{ExtraInfo, LoadingFailed, Paused, parse};
use super::failure::{Failure, Refusal};
use super::{headers, raw};
use crate::fuzzing::headers::{first_line, headers as read};

/// A query, and headers below it: what is asked for is on the web, and no header is about the client's
/// connection or can end another.
pub(crate) fn curl_request(data: &[u8]) {
    let (query, rest) = first_line(data);
    if let Ok((url, timeout)) = raw::parameters(query) {
        assert!(matches!(url.scheme(), "http" | "https") && url.has_host());
        assert_eq!(url.fragment(), None);
        assert!((1_000..=60_000).contains(&timeout.as_millis()));
    }
    let given = headers::for_target(&read(rest), false);
    for (name, value) in &given {
        assert!(!["host", "connection", "content-length", "transfer-encoding"].contains(&&**name));
        assert!(!value.contains(['\r', '\n', '\0']));
        assert_eq!(given.iter().filter(|(other, _)| other == name).count(), 1);
    }
    let text = String::from_utf8_lossy(rest);
    let pairs = text.split('\n').filter_map(|line| line.split_once(':'));
    let named: BTreeMap<String, String> =
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let Ok(checked) = headers::checked(named.clone()) else { return };
    for (name, value) in &checked {
        HeaderName::from_bytes(name.as_bytes()).unwrap();
        HeaderValue::from_bytes(value.as_bytes()).unwrap();
    }
    let merged = headers::merge(named, &checked);
    assert_eq!(merged.as_array().unwrap().len(), checked.len());
}

/// What Chromium says of an answer: no header of it speaks in our name or is about the connection, a
/// redirect leads to the web, and a failure is told within its form.
pub(crate) fn curl_answer(data: &[u8]) {
    let Ok(params) = serde_json::from_slice::<Box<RawValue>>(data) else { return };
    if let Ok(refusal) = serde_json::from_str::<Refusal>(params.get()) {
        told(Failure::Gateway(refusal));
    }
    let event = Event { method: "Fetch.requestPaused".into(), session: None, params: Some(params) };
    if let Some(failed) = parse::<LoadingFailed>(&event) {
        told(Failure::Net(failed.error_text));
    }
    let _ = parse::<ExtraInfo>(&event);
    let Some(paused) = parse::<Paused>(&event) else { return };
    let headers = paused.response_headers.into_iter().map(|header| (header.name, header.value));
    let head = Head {
        url: Url::parse("https://a.example/x").unwrap(),
        status: paused.response_status_code.unwrap_or_default(),
        headers: headers.collect(),
    };
    let crossed = headers::for_client(&head);
    for name in ["connection", "transfer-encoding", "set-cookie", "location", "upgrade"] {
        assert!(!crossed.contains_key(name), "{name}");
    }
    assert_eq!(crossed.get_all("x-should-retry").iter().count(), 1);
    assert_eq!(crossed["x-should-retry"], "false");
    if head.decoded() {
        assert!(!crossed.contains_key("content-length") && head.length().is_none());
    }
    if let Some(there) = head.redirection() {
        assert!(matches!(there.scheme(), "http" | "https"));
        assert_eq!(crossed["x-target-location"], there.as_str());
    }
    let names = headers::as_json(head.headers);
    assert!(names.keys().all(|name| !name.starts_with(|first: char| first.is_ascii_lowercase())));
}

fn told(failure: Failure) {
    let Error(refusal) = failure.into();
    assert_eq!(refusal.code(), browserd_api::ErrorCode::TransportError);
    serde_json::to_vec(refusal.body()).unwrap();
}
