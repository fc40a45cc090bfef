//! Rules that several resources have: a text in, what it means out, or why it does not fit.

use browserd_api::SessionId;

/// Longest name, characters.
const NAME_MAX: usize = 255;

/// A flag in a query: `true`/`false`, also as `1`/`0`.
pub(crate) fn query_flag(text: &str) -> Result<bool, &'static str> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("must be true or false"),
    }
}

/// The name of a session or a proxy: usable as a path segment, and never mistakable for an id.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    Err(if length == 0 || length > NAME_MAX {
        format!("must have 1 to {NAME_MAX} characters")
    } else if text.chars().any(char::is_control) {
        "must not have control characters".to_owned()
    } else if text.contains(['/', '\\', '%']) {
        "must not have /, \\ or %, because it stands in URLs".to_owned()
    } else if matches!(text, "." | "..") {
        "must not be . or .., because it stands in URLs".to_owned()
    } else if text.trim() != text {
        "must not begin or end with white space".to_owned()
    } else if text.parse::<SessionId>().is_ok() {
        "must not look like an id (24 lower-case letters and digits)".to_owned()
    } else {
        return Ok(text.to_owned());
    })
}

/// The same, where an empty text takes a name away, or asks for none.
pub(crate) fn name_or_none(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() { Ok(None) } else { name(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_urls() {
        for good in ["a", "Crawler 7", "größe", "x.y-z_1", &"n".repeat(255)] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "a/b",
            "a\\b",
            "50%",
            "a\nb",
            ".",
            "..",
            " a",
            "htzv5orfit78e1m2biiifpbv",
            &"n".repeat(256),
        ] {
            assert!(name(bad).is_err(), "{bad:?}");
            assert_eq!(name_or_none(bad).is_ok(), bad.is_empty(), "{bad:?}");
        }
    }
}
