//! What a profile may be called.

use browserd_api::{ApiError, ProfileId};
use browserd_rest::{Error, Result};
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::{Faults, Object};

/// Longest name, characters.
const NAME_MAX: usize = 255;

/// What a profile shall be.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; read() reads it")]
pub(crate) struct CreateProfile {
    /// Name, unique, usable wherever a path says `{id_or_name}`; not of the form of an id.
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9._-]{1,255}$")]
    name: Option<String>,
}

/// A profile's new name.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; read() reads it")]
pub(crate) struct UpdateProfile {
    /// As in a creation.
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9._-]{1,255}$")]
    name: String,
}

/// Reads the name; also answers with the fields this version does not know.
pub(super) fn read(body: &Value, required: bool) -> Result<(Option<String>, Vec<String>)> {
    let mut faults = Faults::default();
    let (mut named, mut unknown) = (None, Vec::new());
    if let Some(mut object) = Object::read("", body, &mut faults) {
        named = object.text("name", &mut faults);
        unknown.extend(object.unknown());
        match named {
            Some(text) => check(text, &mut faults),
            None if required && faults.len() == 0 => faults.add("name", "is missing"),
            None => {}
        }
    }
    faults.into_result().map_err(|faults| Error(ApiError::fields(faults)))?;
    Ok((named.map(str::to_owned), unknown))
}

fn check(text: &str, faults: &mut Faults) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > NAME_MAX || !text.bytes().all(plain) {
        faults.add("name", "must have 1 to 255 letters, digits, dots, - and _");
    } else if matches!(text, "." | "..") {
        faults.add("name", "must not be . or .., because it stands in URLs");
    } else if text.parse::<ProfileId>().is_ok() {
        faults.add("name", "must not look like an id (24 lower-case letters and digits)");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_plain() {
        assert_eq!(read(&json!({}), false).unwrap().0, None);
        let (name, unknown) = read(&json!({"name": "Shop-1.eu_x", "later": 1}), true).unwrap();
        assert_eq!((name.as_deref(), unknown), (Some("Shop-1.eu_x"), vec!["later".to_owned()]));
        let long = "n".repeat(256);
        for bad in ["", "a b", "a/b", "größe", ".", "..", "p4t9xk2c7w0vqz5m1b8ydhrn", &long] {
            let error = read(&json!({ "name": bad }), false).unwrap_err();
            assert_eq!(error.0.body().details[0].code, "name", "{bad}");
        }
        for body in [json!({}), json!({"name": 1}), json!([])] {
            assert!(read(&body, true).is_err(), "{body}");
        }
    }
}
