//! The answer to a request, its body still to come.

use url::Url;

use super::body::Body;

pub(super) struct Answer {
    pub(super) head: Head,
    pub(super) body: Body,
}

pub(super) struct Head {
    /// What was asked for.
    pub(super) url: Url,
    pub(super) status: u16,
    /// As they came, in order.
    pub(super) headers: Vec<(String, String)>,
}

impl Head {
    /// How many bytes of body follow, where that is said.
    pub(super) fn length(&self) -> Option<u64> {
        let bare = matches!(self.status, 204 | 304);
        if bare || self.decoded() {
            return None;
        }
        self.header("content-length")?.trim().parse().ok()
    }

    /// The first value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Whether the browser has undone the body's encoding.
    pub(super) fn decoded(&self) -> bool {
        self.header("content-encoding").is_some_and(|encodings| {
            encodings.split(',').all(|encoding| {
                let encoding = encoding.trim().to_ascii_lowercase();
                ["gzip", "x-gzip", "deflate", "br", "zstd"].contains(&encoding.as_str())
            })
        })
    }

    /// Where a redirection leads, as an absolute URL that a request can be made to.
    pub(super) fn redirection(&self) -> Option<Url> {
        if !matches!(self.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let there = self.url.join(self.header("location")?).ok()?;
        matches!(there.scheme(), "http" | "https").then_some(there)
    }
}
