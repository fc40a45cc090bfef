//! What clients say of profiles.

use serde_json::Value;

use super::validate;

/// What is taken is a name as it is documented; what is refused says which field.
pub(crate) fn body(body: &Value) {
    for required in [false, true] {
        match validate::read(body, required) {
            Ok((name, _)) => {
                assert!(name.is_some() || !required);
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                assert!(
                    name.is_none_or(
                        |name| (1..=255).contains(&name.len()) && name.chars().all(plain)
                    )
                );
            }
            Err(refusal) => assert!(!refusal.0.body().details.is_empty()),
        }
    }
}
