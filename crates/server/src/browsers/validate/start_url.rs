//! The page to open first.

use url::Url;

const LENGTH_MAX: usize = 2048;

/// Reads a URL to open: http, https or about, with https understood for a bare host. An empty text asks for
/// none.
pub(super) fn read(text: &str) -> Result<Option<String>, &'static str> {
    if text.is_empty() { Ok(None) } else { parse(text.trim()).map(Some) }
}

fn parse(text: &str) -> Result<String, &'static str> {
    if text.len() > LENGTH_MAX {
        return Err("must have at most 2048 bytes");
    }
    let url = match scheme(text) {
        None => Url::parse(&format!("https://{text}")),
        Some("http" | "https" | "about") => Url::parse(text),
        Some(_) => return Err("must begin with http:, https: or about:"),
    };
    match url {
        Ok(url) if url.scheme() == "about" || url.has_host() => Ok(url.into()),
        _ => Err("must be a URL such as https://example.com"),
    }
}

/// The scheme in front, lower case as far as we know it; `host:8080` has none.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !valid || rest.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(
        ["http", "https", "about"]
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(scheme))
            .unwrap_or(scheme),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pages_can_be_opened() {
        for (text, url) in [
            ("https://example.com/a?b=c#d", "https://example.com/a?b=c#d"),
            ("example.com", "https://example.com/"),
            ("localhost:3000/x", "https://localhost:3000/x"),
            ("HTTP://Example.COM", "http://example.com/"),
            ("about:blank", "about:blank"),
            ("[::1]:80", "https://[::1]:80/"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(url));
        }
    }

    #[test]
    fn nothing_else_can() {
        for text in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "file:/etc/passwd",
            "chrome://settings",
            "data:text/html,x",
            "view-source:https://a",
            "https://",
            "ht tp://x",
            " ",
            "https:// /",
            &format!("https://a/{}", "x".repeat(2048)),
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_has_a_scheme_we_open(text in ".{0,60}") {
            if let Ok(url) = parse(&text) {
                prop_assert!(["http://", "https://", "about:"].iter().any(|s| url.starts_with(s)), "{}", url);
            }
        }
    }
}
