//! Checking what clients ask for, all of it at once: a refusal names every field that does not fit.
//!
//! The JSON is walked as a value instead of being deserialized into a type, because a type stops at
//! the first misfit. Each reader takes its field out of an [`Object`]; what nobody took is unknown,
//! and ignored.

mod create;
mod location;
mod object;
mod start_url;
mod unbuilt;
mod update;
mod viewport;

pub(crate) use create::{CreateBrowser, Defaults, create};
pub(crate) use object::{Faults, Object, read_bool};
pub(crate) use unbuilt::{create_fields, update_fields};
pub(crate) use update::{Change, UpdateBrowser, update};

use std::collections::BTreeMap;

use browserd_api::SessionId;
use browserd_api::browser::Region;
use serde_json::Value;

/// Most tags of a session.
pub(crate) const TAGS_MAX: usize = 50;
const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 512;
const NAME_MAX: usize = 255;
/// Least and most `timeout_seconds`.
const TIMEOUT: (u32, u32) = (10, 259_200);

/// A region label.
pub(crate) fn region(field: &str, text: &str, faults: &mut Faults) -> Option<Region> {
    let region = Region::ALL.into_iter().find(|region| region.as_str() == text);
    if region.is_none() {
        let labels = Region::ALL.map(Region::as_str).join(", ");
        faults.add(field, format!("must be one of {labels}"));
    }
    region
}

/// A session's name: usable as a path segment, and never mistakable for an id.
fn name(text: &str, faults: &mut Faults) -> Option<String> {
    let length = text.chars().count();
    let why = if length == 0 || length > NAME_MAX {
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
        "must not look like a session id (24 lower-case letters and digits)".to_owned()
    } else {
        return Some(text.to_owned());
    };
    faults.add("name", why);
    None
}

/// Labels: a flat object of strings.
fn tags(value: &Value, faults: &mut Faults) -> Option<BTreeMap<String, String>> {
    let Some(map) = value.as_object() else {
        faults.add("tags", "must be an object of strings");
        return None;
    };
    if map.len() > TAGS_MAX {
        faults.add("tags", format!("at most {TAGS_MAX} tags, these are {}", map.len()));
        return None;
    }
    let before = faults.len();
    let mut tags = BTreeMap::new();
    for (key, value) in map {
        let field = format!("tags.{}", key.chars().take(TAG_KEY_MAX).collect::<String>());
        let control = |text: &str| text.chars().any(char::is_control);
        if !(1..=TAG_KEY_MAX).contains(&key.chars().count()) || control(key) {
            faults.add(
                &field,
                format!(
                    "a tag's key has 1 to {TAG_KEY_MAX} characters, none of them control characters"
                ),
            );
        }
        match value.as_str() {
            None => faults.add(&field, "a tag's value must be a string"),
            Some(text) if text.chars().count() > TAG_VALUE_MAX || control(text) => {
                faults.add(&field, format!("a tag's value has at most {TAG_VALUE_MAX} characters, none of them control characters"));
            }
            Some(text) => {
                tags.insert(key.clone(), text.to_owned());
            }
        }
    }
    (faults.len() == before).then_some(tags)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_stand_in_urls() {
        for good in ["a", "Crawler 7", "größe", "x.y-z_1", &"n".repeat(255)] {
            assert_eq!(name(good, &mut Faults::default()).as_deref(), Some(good));
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
            let mut faults = Faults::default();
            assert_eq!(name(bad, &mut faults), None, "{bad:?}");
            assert_eq!(faults.len(), 1);
        }
    }

    #[test]
    fn every_bad_tag_is_named() {
        let mut faults = Faults::default();
        let value = json!({"ok": "1", "number": 1, "": "x", "long": "x".repeat(513)});
        assert_eq!(tags(&value, &mut faults), None);
        let details = faults.into_result().unwrap_err();
        let fields: Vec<&str> = details.iter().map(|d| d.code.as_str()).collect();
        assert_eq!(fields, ["tags.", "tags.long", "tags.number"]);
        let many: serde_json::Map<_, _> = (0..51).map(|n| (n.to_string(), json!("x"))).collect();
        assert_eq!(tags(&Value::Object(many), &mut Faults::default()), None);
        assert_eq!(tags(&json!({}), &mut Faults::default()), Some(BTreeMap::new()));
    }
}
