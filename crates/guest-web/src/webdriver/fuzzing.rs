//! The targets of this module.

use serde_json::Value;

use super::bidi::{Command, is_session_path};
use super::capabilities::{attach, publish_url};
use super::public_url::PublicUrl;
use crate::fuzzing::headers::{first_line, headers};

const ADDRESS: &str = "127.0.0.1:9";
/// Where a driver finds what it is told about Chromium.
const OPTIONS: &str = "/capabilities/alwaysMatch/goog:chromeOptions";

/// A path, then a message of a client: a command is what the driver will take it for, and one that
/// makes a session attaches to the session's Chromium and starts none.
pub(crate) fn webdriver_messages(data: &[u8]) {
    let (path, message) = first_line(data);
    if is_session_path(path) {
        assert_eq!(format!("http://h{path}").parse::<url::Url>().unwrap().path(), path);
    }
    let Ok(text) = std::str::from_utf8(message) else { return };
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return };
    if let Ok(command) = serde_json::from_str::<Command<'_>>(text) {
        assert_eq!(command.method.as_deref(), value.get("method").and_then(Value::as_str));
    }
    let mut created = value.clone();
    if attach(&mut value, ADDRESS).is_ok() {
        let options = value.pointer(OPTIONS).and_then(Value::as_object).unwrap();
        assert_eq!(options["debuggerAddress"], ADDRESS);
        for starts in ["binary", "args", "extensions", "prefs", "detach"] {
            assert!(!options.contains_key(starts), "{starts}");
        }
        assert!(value.get("desiredCapabilities").is_none());
        let first = value.pointer("/capabilities/firstMatch").and_then(Value::as_array);
        for alternative in first.into_iter().flatten() {
            assert!(alternative.get("goog:chromeOptions").is_none());
        }
        let once = value.clone();
        attach(&mut value, ADDRESS).unwrap();
        assert_eq!(value, once);
    }
    let Some(url) = PublicUrl::of(&headers(message)).or_else(|| PublicUrl::of(&host())) else {
        return;
    };
    publish_url(&mut created, "a", &url);
    assert!(url.of_session("a").contains("/a"));
}

fn host() -> http::HeaderMap {
    headers(b"host: b.example")
}
