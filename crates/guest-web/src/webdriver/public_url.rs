//! The URLs in answers: the driver's own lead nowhere from outside.

use http::HeaderMap;
use http::header::HOST;

use super::PUBLIC_URL_HEADER;

/// Longest base URL taken.
const LIMIT: usize = 8 * 1024;

/// Where this session's `BiDi` endpoint is for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicUrl(String);

impl PublicUrl {
    /// What `serve` says, or else where the request was sent to; `None` when neither is known.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text =
            |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let url = match text(PUBLIC_URL_HEADER) {
            Some(url) => url.to_owned(),
            None => {
                format!("ws://{}/webdriver/session", text(HOST).filter(|host| !host.is_empty())?)
            }
        };
        (url.len() <= LIMIT).then_some(Self(url))
    }

    /// The URL of one driver session: its id behind the path, before the query.
    pub(super) fn of_session(&self, id: &str) -> String {
        let (path, query) = match self.0.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.0.as_str(), None),
        };
        let mut url = format!("{}/{id}", path.trim_end_matches('/'));
        if let Some(query) = query {
            url.push('?');
            url.push_str(query);
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, http::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_servers_word_comes_first() {
        let given = headers(&[
            ("host", "guest"),
            ("x-browserd-webdriver-url", "wss://b.example/browser/x/webdriver/session?jwt=a.b.c"),
        ]);
        assert_eq!(
            PublicUrl::of(&given).unwrap().of_session("abc"),
            "wss://b.example/browser/x/webdriver/session/abc?jwt=a.b.c"
        );
        let bare = headers(&[("host", "127.0.0.1:80")]);
        assert_eq!(
            PublicUrl::of(&bare).unwrap().of_session("abc"),
            "ws://127.0.0.1:80/webdriver/session/abc"
        );
        assert_eq!(PublicUrl::of(&HeaderMap::new()), None);
        assert_eq!(PublicUrl::of(&headers(&[("host", "")])), None);
    }
}
