//! Checking what clients ask for, all of it at once: a refusal names every field that does not fit.
//!
//! Each reader takes its field out of a [`crate::fields::Object`]; what nobody took is unknown, and
//! ignored.

mod create;
mod location;
mod profile;
mod proxy;
mod start_url;
mod unbuilt;
mod update;
mod viewport;

pub(crate) use create::{CreateBrowser, Creation, Defaults, NO_PROFILE, create};
pub(crate) use unbuilt::{create_fields, update_fields};
pub(crate) use update::{UpdateBrowser, update};

use std::collections::BTreeMap;

use browserd_api::browser::Region;
use serde_json::Value;

use crate::fields::Faults;
pub(crate) use crate::resource::paging::TAGS_MAX;

const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 512;
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
