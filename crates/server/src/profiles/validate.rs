//! What a profile may be called.

use browserd_api::ProfileId;
use utoipa::ToSchema;

use crate::fields::{Body, Fields};

/// Longest name, characters.
const NAME_MAX: usize = 255;

/// What a profile shall be.
#[derive(Debug, ToSchema)]
pub(crate) struct CreateProfile {
    /// Name, unique, usable wherever a path says `{id_or_name}`; not of the form of an id.
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9._-]{1,255}$")]
    pub(super) name: Option<String>,
}

/// A profile's new name.
#[derive(Debug, ToSchema)]
pub(crate) struct UpdateProfile {
    /// As in a creation.
    #[schema(min_length = 1, max_length = 255, pattern = "^[A-Za-z0-9._-]{1,255}$")]
    pub(super) name: String,
}

impl Body for CreateProfile {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { name: fields.parse("name", name) })
    }
}

impl Body for UpdateProfile {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.require("name", "is missing");
        Some(Self { name: fields.parse("name", name)? })
    }
}

fn name(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > NAME_MAX || !text.bytes().all(plain) {
        Err("must have 1 to 255 letters, digits, dots, - and _")
    } else if matches!(text, "." | "..") {
        Err("must not be . or .., because it stands in URLs")
    } else if text.parse::<ProfileId>().is_ok() {
        Err("must not look like an id (24 lower-case letters and digits)")
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fields::Checked;

    fn create(body: &Value) -> browserd_rest::Result<(CreateProfile, Vec<String>)> {
        Checked::of(body).finish()
    }

    fn update(body: &Value) -> browserd_rest::Result<(UpdateProfile, Vec<String>)> {
        Checked::of(body).finish()
    }

    #[test]
    fn names_are_plain() {
        assert_eq!(create(&json!({})).unwrap().0.name, None);
        let (asked, ignored) = update(&json!({"name": "Shop-1.eu_x", "later": 1})).unwrap();
        assert_eq!((asked.name.as_str(), ignored), ("Shop-1.eu_x", vec!["later".to_owned()]));
        let long = "n".repeat(256);
        for bad in ["", "a b", "a/b", "größe", ".", "..", "p4t9xk2c7w0vqz5m1b8ydhrn", &long] {
            let error = create(&json!({ "name": bad })).unwrap_err();
            assert_eq!(error.0.body().details[0].code, "name", "{bad}");
        }
        for body in [json!({}), json!({"name": null}), json!({"name": 1}), json!([])] {
            let error = update(&body).unwrap_err();
            assert_eq!(error.0.body().details.len(), 1, "{body}");
        }
    }
}
