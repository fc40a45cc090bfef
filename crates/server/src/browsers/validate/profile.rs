//! The profile a session asks for.

use browserd_api::ProfileId;
use browserd_fleet::ProfileChoice;
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::{Faults, Object};

/// A profile to load, by id or by name.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the body; read() reads it")]
pub(crate) struct ProfileSelection {
    /// Id.
    id: Option<ProfileId>,
    /// Name.
    name: Option<String>,
    /// Whether the session's state is saved into it when the session ends: by DELETE, by its timeout or
    /// with the server. What was saved before is replaced. Default false.
    save_changes: Option<bool>,
}

/// Reads `profile`.
pub(super) fn read(
    value: &Value,
    faults: &mut Faults,
    unknown: &mut Vec<String>,
) -> Option<ProfileChoice> {
    let mut object = Object::read("profile", value, faults)?;
    let by_id = object.text("id", faults);
    let by_name = object.text("name", faults);
    let save_changes = object.bool("save_changes", faults).unwrap_or(false);
    unknown.extend(object.unknown());
    let id_or_name = match (by_id, by_name) {
        (Some(id), None) if id.parse::<ProfileId>().is_ok() => id,
        (Some(_), None) => {
            faults.add("profile.id", "must be a profile's id (24 lower-case letters and digits)");
            return None;
        }
        (None, Some(name)) => name,
        _ => {
            faults.add("profile", "must have exactly one of id and name");
            return None;
        }
    };
    Some(ProfileChoice { id_or_name: id_or_name.to_owned(), save_changes })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_profile_is_asked_for() {
        const ID: &str = "p4t9xk2c7w0vqz5m1b8ydhrn";
        let asked = |value: Value| {
            let mut faults = Faults::default();
            let asked = read(&value, &mut faults, &mut Vec::new());
            faults.into_result().map(|()| asked.unwrap()).map_err(|faults| faults[0].code.clone())
        };
        let good = |id_or_name: &str, save_changes| {
            Ok(ProfileChoice { id_or_name: id_or_name.to_owned(), save_changes })
        };
        assert_eq!(asked(json!({"id": ID})), good(ID, false));
        assert_eq!(asked(json!({"name": "a", "save_changes": true})), good("a", true));
        for (value, field) in [
            (json!({}), "profile"),
            (json!("a"), "profile"),
            (json!({"id": ID, "name": "a"}), "profile"),
            (json!({"id": "a"}), "profile.id"),
            (json!({"name": 1}), "profile.name"),
            (json!({"name": "a", "save_changes": "yes"}), "profile.save_changes"),
        ] {
            assert_eq!(asked(value.clone()), Err(field.to_owned()), "{value}");
        }
    }
}
