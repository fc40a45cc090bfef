//! Chromium's URLs made ours.

use browserd_rest::Error;
use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::Url;

use super::PREFIX;
use crate::public_url::PublicUrl;

/// What a path segment of ours may not hold.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'%');

/// What URLs of one session begin and end with.
pub(crate) struct Urls<'a> {
    pub(crate) public: &'a PublicUrl,
    pub(crate) jwt: &'a str,
}

impl Urls<'_> {
    /// Rewrites the URLs in a discovery answer. Chromium's answers are as hostile as any: a value
    /// that is not a WebSocket URL of a known form is dropped.
    pub(crate) fn rewrite(&self, body: &[u8]) -> Result<Bytes, Error> {
        let mut value: Value = serde_json::from_slice(body).map_err(|error| {
            tracing::warn!(%error, "Chromium's discovery answer is not JSON");
            Error::new(
                browserd_api::ErrorCode::UpstreamUnavailable,
                "Chromium's answer is not JSON",
            )
        })?;
        match &mut value {
            Value::Array(targets) => {
                targets.iter_mut().for_each(|target| self.rewrite_target(target));
            }
            target => self.rewrite_target(target),
        }
        serde_json::to_vec_pretty(&value).map(Bytes::from).map_err(Error::internal)
    }

    fn rewrite_target(&self, target: &mut Value) {
        let Some(fields) = target.as_object_mut() else { return };
        let socket = fields
            .get("webSocketDebuggerUrl")
            .and_then(Value::as_str)
            .and_then(devtools_path)
            .map(|path| format!("{}{PREFIX}{path}?jwt={}", self.public.ws, self.jwt));
        if let Some(url) = fields.get_mut("devtoolsFrontendUrl") {
            *url = match (url.as_str(), &socket) {
                (Some(frontend), Some(socket)) => Value::String(point_at(frontend, socket)),
                _ => Value::Null,
            };
        }
        match socket {
            Some(socket) => fields.insert("webSocketDebuggerUrl".to_owned(), Value::String(socket)),
            None => fields.remove("webSocketDebuggerUrl"),
        };
        fields.retain(|_, value| !value.is_null());
    }
}

/// The path of a WebSocket URL of Chromium's.
fn devtools_path(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let path = url.path();
    (matches!(url.scheme(), "ws" | "wss") && path.starts_with("/devtools/"))
        .then(|| utf8_percent_encode(path, SEGMENT).to_string())
}

/// The frontend's URL with its `ws` parameter pointing at `socket`.
fn point_at(frontend: &str, socket: &str) -> String {
    let base = frontend.split('?').next().unwrap_or_default();
    let (scheme, rest) = socket.split_once("://").unwrap_or(("ws", socket));
    format!("{base}?{scheme}={}", utf8_percent_encode(rest, NON_ALPHANUMERIC))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rewrite(value: &Value) -> Value {
        let public = PublicUrl {
            http: "https://b.example".into(),
            ws: "wss://b.example".into(),
            host: "b.example".into(),
        };
        let bytes =
            Urls { public: &public, jwt: "x.y.z" }.rewrite(value.to_string().as_bytes()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn urls_become_ours_and_the_rest_stays() {
        let out = rewrite(&json!([{
            "id": "A1", "title": "t", "url": "https://a.example/",
            "devtoolsFrontendUrl": "https://f.example/inspector.html?ws=127.0.0.1:9222/devtools/page/A1",
            "webSocketDebuggerUrl": "ws://127.0.0.1:9222/devtools/page/A1",
        }]));
        assert_eq!(
            out[0]["webSocketDebuggerUrl"],
            "wss://b.example/browser/cdp/devtools/page/A1?jwt=x.y.z"
        );
        assert_eq!(
            out[0]["devtoolsFrontendUrl"],
            "https://f.example/inspector.html?wss=b%2Eexample%2Fbrowser%2Fcdp%2Fdevtools%2Fpage%2FA1%3Fjwt%3Dx%2Ey%2Ez"
        );
        assert_eq!(out[0]["url"], "https://a.example/");
    }

    #[test]
    fn urls_of_unknown_form_are_dropped() {
        for url in [
            json!("javascript:alert(1)"),
            json!("ws://h/other"),
            json!(7),
            json!("http://h/devtools/page/1"),
        ] {
            let out = rewrite(&json!({"Browser": "x", "webSocketDebuggerUrl": url}));
            assert_eq!(out, json!({"Browser": "x"}));
        }
    }
}
