//! Checking what clients ask for, all of it at once: a refusal names every field that does not fit.
//!
//! A body is a struct here, with how its fields are read ([`crate::fields::Body`]); what it means for a
//! session comes after that.

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
use std::ops::RangeInclusive;

use browserd_api::browser::Region;
use serde_json::Value;

use crate::fields::{Fields, ValidationErrors};
pub(crate) use crate::resource::paging::TAGS_MAX;

const TAG_KEY_MAX: usize = 128;
const TAG_VALUE_MAX: usize = 512;
/// Least and most `timeout_seconds`.
const TIMEOUT: RangeInclusive<u32> = 10..=259_200;

/// A region label.
pub(crate) fn region(text: &str) -> Result<Region, String> {
    Region::ALL.into_iter().find(|region| region.as_str() == text).ok_or_else(|| {
        let labels = Region::ALL.map(Region::as_str).join(", ");
        format!("must be one of {labels}")
    })
}

/// Takes `tags`.
fn take_tags(fields: &mut Fields<'_>) -> Option<BTreeMap<String, String>> {
    let value = fields.take("tags")?;
    tags(value, fields.errors())
}

/// Labels: a flat object of strings.
fn tags(value: &Value, errors: &mut ValidationErrors) -> Option<BTreeMap<String, String>> {
    let Some(map) = value.as_object() else {
        errors.add("tags", "must be an object of strings");
        return None;
    };
    if map.len() > TAGS_MAX {
        errors.add("tags", format!("at most {TAGS_MAX} tags, these are {}", map.len()));
        return None;
    }
    let before = errors.len();
    let mut tags = BTreeMap::new();
    for (key, value) in map {
        let field = format!("tags.{}", key.chars().take(TAG_KEY_MAX).collect::<String>());
        let control = |text: &str| text.chars().any(char::is_control);
        if !(1..=TAG_KEY_MAX).contains(&key.chars().count()) || control(key) {
            errors.add(
                &field,
                format!(
                    "a tag's key has 1 to {TAG_KEY_MAX} characters, none of them control characters"
                ),
            );
        }
        match value.as_str() {
            None => errors.add(&field, "a tag's value must be a string"),
            Some(text) if text.chars().count() > TAG_VALUE_MAX || control(text) => {
                errors.add(&field, format!("a tag's value has at most {TAG_VALUE_MAX} characters, none of them control characters"));
            }
            Some(text) => {
                tags.insert(key.clone(), text.to_owned());
            }
        }
    }
    (errors.len() == before).then_some(tags)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_bad_tag_is_named() {
        let mut errors = ValidationErrors::default();
        let value = json!({"ok": "1", "number": 1, "": "x", "long": "x".repeat(513)});
        assert_eq!(tags(&value, &mut errors), None);
        let error = errors.into_result().unwrap_err();
        let fields: Vec<&str> = error.0.body().details.iter().map(|d| d.code.as_str()).collect();
        assert_eq!(fields, ["tags.", "tags.long", "tags.number"]);
        let many: serde_json::Map<_, _> = (0..51).map(|n| (n.to_string(), json!("x"))).collect();
        assert_eq!(tags(&Value::Object(many), &mut ValidationErrors::default()), None);
        assert_eq!(tags(&json!({}), &mut ValidationErrors::default()), Some(BTreeMap::new()));
    }
}
