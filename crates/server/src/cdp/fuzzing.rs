//! The targets of this module.

use serde_json::Value;
use url::Url;

use super::PREFIX;
use super::rewrite::Urls;
use crate::public_url::PublicUrl;

/// A discovery answer of Chromium's: every URL to connect to in what clients get is this server's, of
/// this session.
pub(crate) fn discovery_json(data: &[u8]) {
    let public = PublicUrl {
        http: "https://b.example".into(),
        ws: "wss://b.example".into(),
        host: "b.example".into(),
    };
    let Ok(rewritten) = (Urls { public: &public, jwt: "x.y.z" }).rewrite(data) else { return };
    let targets = match serde_json::from_slice(&rewritten).unwrap() {
        Value::Array(targets) => targets,
        target => vec![target],
    };
    for target in &targets {
        let url = &target["webSocketDebuggerUrl"];
        if url.is_null() {
            continue;
        }
        let url = Url::parse(url.as_str().unwrap()).unwrap();
        assert_eq!((url.scheme(), url.host_str(), url.port()), ("wss", Some("b.example"), None));
        assert!(url.path().starts_with(&format!("{PREFIX}/devtools/")), "{url}");
        assert_eq!((url.query(), url.fragment()), (Some("jwt=x.y.z"), None), "{url}");
        assert_eq!((url.username(), url.password()), ("", None), "{url}");
    }
}
