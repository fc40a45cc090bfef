//! Where clients reach this server.

use url::Url;

/// The public URL in the forms it is needed in, without a slash at the end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PublicUrl {
    /// `http://host:port`
    pub(crate) http: String,
    /// `ws://host:port`
    pub(crate) ws: String,
    /// `host`
    pub(crate) host: String,
}

impl PublicUrl {
    pub(crate) fn new(url: &Url) -> Self {
        let mut url = url.clone();
        url.set_query(None);
        url.set_fragment(None);
        let http = url.as_str().trim_end_matches('/').to_owned();
        // "http…" and "ws…" differ in their first four letters only, and so do the secure forms.
        let ws = http.strip_prefix("http").map_or_else(|| http.clone(), |rest| format!("ws{rest}"));
        Self { http, ws, host: url.host_str().unwrap_or("localhost").to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_url_takes_both_schemes() {
        let url = PublicUrl::new(&Url::parse("http://127.0.0.1:7878").unwrap());
        assert_eq!(url.http, "http://127.0.0.1:7878");
        assert_eq!(url.ws, "ws://127.0.0.1:7878");
        assert_eq!(url.host, "127.0.0.1");
        let url = PublicUrl::new(&Url::parse("https://browsers.example/cloud/?x#y").unwrap());
        assert_eq!(url.http, "https://browsers.example/cloud");
        assert_eq!(url.ws, "wss://browsers.example/cloud");
    }
}
