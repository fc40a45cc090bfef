//! What clients say of profiles.

use serde_json::Value;

use super::validate::{CreateProfile, UpdateProfile};
use crate::fields::Checked;

/// What is taken is a name as it is documented; what is refused says which field.
pub(crate) fn body(body: &Value) {
    let created = Checked::<CreateProfile>::of(body).finish().map(|(asked, _)| asked.name);
    let renamed = Checked::<UpdateProfile>::of(body).finish().map(|(asked, _)| Some(asked.name));
    for outcome in [created, renamed] {
        match outcome {
            Ok(name) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                let fits =
                    |name: String| (1..=255).contains(&name.len()) && name.chars().all(plain);
                assert!(name.is_none_or(fits));
            }
            Err(refusal) => assert!(!refusal.0.body().details.is_empty()),
        }
    }
}
