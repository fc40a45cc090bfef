//! A JSON object whose fields are taken out one by one, and the faults found meanwhile.
//!
//! The JSON is walked as a value instead of being deserialized into a type, because a type stops at
//! the first misfit.

use browserd_api::{ErrorDetail, SessionId};
use serde_json::Value;

/// Longest name, characters.
const NAME_MAX: usize = 255;

/// Most faults reported for one request.
const FAULTS_MAX: usize = 64;

/// What is wrong with a request, field by field.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<ErrorDetail>);

impl Faults {
    /// Notes that a field does not fit.
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(ErrorDetail { code: field.into(), message: message.into() });
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The faults as an error, if there are any.
    pub(crate) fn into_result(self) -> Result<(), Vec<ErrorDetail>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// A flag in a query: `true`/`false`, also as `1`/`0`.
pub(crate) fn read_bool(field: &str, text: &str, faults: &mut Faults) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => {
            faults.add(field, "must be true or false");
            None
        }
    }
}

/// The name of a session or a proxy: usable as a path segment, and never mistakable for an id.
pub(crate) fn name(text: &str, faults: &mut Faults) -> Option<String> {
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
        "must not look like an id (24 lower-case letters and digits)".to_owned()
    } else {
        return Some(text.to_owned());
    };
    faults.add("name", why);
    None
}

/// An object of a request. A field that is null counts as absent.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    prefix: String,
    fields: Map<String, &'a Value>,
}

/// A map that borrows its values.
type Map<K, V> = std::collections::BTreeMap<K, V>;

impl<'a> Object<'a> {
    /// `value` as an object; `path` is where it stands, empty for the body.
    pub(crate) fn read(path: &str, value: &'a Value, faults: &mut Faults) -> Option<Self> {
        let Some(map) = value.as_object() else {
            faults.add(if path.is_empty() { "body" } else { path }, "must be an object");
            return None;
        };
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        Some(Self { prefix, fields: map.iter().map(|(key, value)| (key.clone(), value)).collect() })
    }

    /// Takes a field, whatever it is.
    pub(crate) fn take(&mut self, field: &str) -> Option<&'a Value> {
        self.fields.remove(field).filter(|value| !value.is_null())
    }

    /// Takes a field whose null means something: that is `Some(None)`.
    pub(crate) fn take_nullable(&mut self, field: &str) -> Option<Option<&'a Value>> {
        self.fields.remove(field).map(|value| Some(value).filter(|value| !value.is_null()))
    }

    /// The whole path of a field.
    pub(crate) fn path(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }

    /// Takes a flag.
    pub(crate) fn bool(&mut self, field: &str, faults: &mut Faults) -> Option<bool> {
        let value = self.take(field)?;
        if value.as_bool().is_none() {
            faults.add(self.path(field), "must be true or false");
        }
        value.as_bool()
    }

    /// Takes a text.
    pub(crate) fn text(&mut self, field: &str, faults: &mut Faults) -> Option<&'a str> {
        let value = self.take(field)?;
        self.as_text(field, value, faults)
    }

    /// The text of a field taken before.
    pub(crate) fn as_text<'v>(
        &self,
        field: &str,
        value: &'v Value,
        faults: &mut Faults,
    ) -> Option<&'v str> {
        if value.as_str().is_none() {
            faults.add(self.path(field), "must be a string");
        }
        value.as_str()
    }

    /// Takes a whole number within bounds. `5.0` is one too, as JSON makes no difference.
    pub(crate) fn number(
        &mut self,
        field: &str,
        min: u32,
        max: u32,
        faults: &mut Faults,
    ) -> Option<u32> {
        let value = self.take(field)?;
        let whole = value.as_i64().or_else(|| {
            let float = value.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 1e15)?;
            // In range, and without a fraction: nothing is lost.
            Some(float as i64)
        });
        let number = whole.and_then(|n| u32::try_from(n).ok()).filter(|n| (min..=max).contains(n));
        if number.is_none() {
            faults.add(self.path(field), format!("must be a whole number from {min} to {max}"));
        }
        number
    }

    /// What nobody took.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = String> + '_ {
        self.fields.keys().map(|field| self.path(field))
    }
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
    fn fields_are_taken_once_and_the_rest_is_unknown() {
        let value = json!({"a": true, "b": "x", "c": null, "d": 1});
        let mut faults = Faults::default();
        let mut object = Object::read("deep", &value, &mut faults).unwrap();
        assert_eq!(object.bool("a", &mut faults), Some(true));
        assert_eq!(object.bool("b", &mut faults), None);
        assert_eq!(object.text("c", &mut faults), None);
        assert_eq!(object.unknown().collect::<Vec<_>>(), ["deep.d"]);
        let details = faults.into_result().unwrap_err();
        assert_eq!(details.len(), 1);
        assert_eq!(details[0].code, "deep.b");
    }

    #[test]
    fn numbers_are_whole_and_bounded() {
        let read = |value: Value| {
            let value = json!({ "n": value });
            let mut faults = Faults::default();
            Object::read("", &value, &mut faults).unwrap().number("n", 10, 20, &mut faults)
        };
        assert_eq!(read(json!(10)), Some(10));
        assert_eq!(read(json!(20.0)), Some(20));
        for bad in [
            json!(9),
            json!(21),
            json!(10.5),
            json!("10"),
            json!(-10),
            json!(1e300),
            json!(true),
            json!([]),
        ] {
            assert_eq!(read(bad.clone()), None, "{bad}");
        }
    }
}
