//! Headers out of bytes.
#![allow(dead_code, reason = "each crate uses its part")]

use http::{HeaderMap, HeaderName, HeaderValue};

/// Most lines looked at.
const LINES: usize = 64;

/// The lines of `text` as headers, `name: value`; what is none is left out.
pub(crate) fn headers(text: &[u8]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n').take(LINES) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&line[..colon]), value) {
            map.append(name, value);
        }
    }
    map
}

/// The first line, as text, and what follows it.
pub(crate) fn first_line(data: &[u8]) -> (&str, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (line, rest) = match end {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    (std::str::from_utf8(line).unwrap_or_default(), rest)
}
