//! Reading the line with which Chromium announces its debugging port.

/// What precedes the address, on a line of its own on stderr.
const ANNOUNCEMENT: &[u8] = b"DevTools listening on ws://127.0.0.1:";
/// Path of the browser endpoint up to its UUID.
const BROWSER_PATH: &str = "/devtools/browser/";

/// Where Chromium's debugging port is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Path of the browser endpoint, `/devtools/browser/<uuid>`.
    pub browser_path: String,
}

impl Endpoint {
    /// Where the browser endpoint is, for clients inside the session.
    #[must_use]
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}{}", self.port, self.browser_path)
    }
}

/// Reads one line of Chromium's stderr (without its newline); `None` unless it is the announcement,
/// whole and well formed.
///
/// Pages can make Chromium print lines, so a caller takes the first announcement of a launch, which
/// comes before any page of a client is loaded, and no later one.
#[must_use]
pub fn announced(line: &[u8]) -> Option<Endpoint> {
    let rest = line.trim_ascii().strip_prefix(ANNOUNCEMENT)?;
    let rest = std::str::from_utf8(rest).ok()?;
    let (port, path) = rest.split_at(rest.find('/')?);
    if port.is_empty() || port.len() > 5 || !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let uuid = path.strip_prefix(BROWSER_PATH)?;
    if !is_uuid(uuid) {
        return None;
    }
    Some(Endpoint { port, browser_path: path.to_owned() })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "6a0e6f5c-9f8a-4a3e-8d0e-2d5d0a3b9f11";

    #[test]
    fn reads_the_announcement() {
        let line = format!("DevTools listening on ws://127.0.0.1:36133/devtools/browser/{UUID}\r");
        let found = announced(line.as_bytes()).unwrap();
        assert_eq!(found.port, 36133);
        assert_eq!(found.browser_path, format!("/devtools/browser/{UUID}"));
    }

    #[test]
    fn refuses_what_only_looks_like_it() {
        for line in [
            String::new(),
            "DevTools listening on ws://127.0.0.1:".into(),
            format!("[1:2:CONSOLE] DevTools listening on ws://127.0.0.1:1/devtools/browser/{UUID}"),
            format!("DevTools listening on ws://127.0.0.1:0/devtools/browser/{UUID}"),
            format!("DevTools listening on ws://127.0.0.1:65536/devtools/browser/{UUID}"),
            format!("DevTools listening on ws://127.0.0.1:+80/devtools/browser/{UUID}"),
            format!("DevTools listening on ws://127.0.0.1:000080/devtools/browser/{UUID}"),
            format!("DevTools listening on ws://10.0.0.1:80/devtools/browser/{UUID}"),
            format!("DevTools listening on ws://127.0.0.1:80/devtools/page/{UUID}"),
            format!("DevTools listening on ws://127.0.0.1:80/devtools/browser/{UUID}/.."),
            format!("DevTools listening on ws://127.0.0.1:80@evil/devtools/browser/{UUID}"),
            format!("DevTools listening on ws://127.0.0.1:80/devtools/browser/{}", "x".repeat(36)),
        ] {
            assert_eq!(announced(line.as_bytes()), None, "{line}");
        }
        assert_eq!(announced(b"DevTools listening on ws://127.0.0.1:80/\xff\xfe"), None);
    }
}
