//! Fields this version does not know: ignored, and named, so that a client of a newer version keeps
//! working and can still find out what had no effect.

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Names the ignored fields, percent-encoded and separated by commas.
pub(crate) const IGNORED: HeaderName = HeaderName::from_static("x-browserd-ignored-fields");

/// Longest header value, bytes; the rest is counted.
const LENGTH_LIMIT: usize = 1024;

const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b',').add(b'%').add(b'"');

/// Names `fields` in the header, if there are any.
pub(crate) fn name_in_header(headers: &mut HeaderMap, fields: &[String]) {
    let mut value = String::new();
    for (at, field) in fields.iter().enumerate() {
        let name = utf8_percent_encode(field, ENCODED).to_string();
        let comma = if value.is_empty() { "" } else { "," };
        if value.len() + comma.len() + name.len() > LENGTH_LIMIT {
            value.push_str(comma);
            value.push_str(&format!("+{}", fields.len() - at));
            break;
        }
        value.push_str(comma);
        value.push_str(&name);
    }
    if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_str(&value)) {
        headers.insert(IGNORED, value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(fields: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        let fields: Vec<String> = fields.iter().map(|f| (*f).to_owned()).collect();
        name_in_header(&mut headers, &fields);
        headers.get(IGNORED).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn names_are_listed_and_bounded() {
        assert_eq!(named(&[]), None);
        assert_eq!(named(&["a", "viewport.depth"]).as_deref(), Some("a,viewport.depth"));
        assert_eq!(named(&["ä, \r\n"]).as_deref(), Some("%C3%A4%2C%20%0D%0A"));
        assert_eq!(named(&["a", &"x".repeat(5000), "b"]).as_deref(), Some("a,+2"));
    }

    proptest! {
        #[test]
        fn any_name_makes_a_valid_header(fields in prop::collection::vec(".{1,40}", 1..80)) {
            let mut headers = HeaderMap::new();
            name_in_header(&mut headers, &fields);
            prop_assert!(headers[IGNORED].len() < LENGTH_LIMIT + 32);
        }
    }
}
