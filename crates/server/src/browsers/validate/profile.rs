//! The profile a session asks for.

use browserd_api::ProfileId;
use browserd_fleet::ProfileChoice;
use utoipa::ToSchema;

use crate::fields::{Body, Fields};

/// A profile to load, by id or by name.
#[derive(Debug, ToSchema)]
pub(crate) struct ProfileSelection {
    /// Id.
    id: Option<ProfileId>,
    /// Name.
    name: Option<String>,
    /// Whether the session's state is saved into it when the session ends: by DELETE, by its timeout or
    /// with the server. What was saved before is replaced. Default false.
    save_changes: Option<bool>,
}

impl Body for ProfileSelection {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (id, name) = (fields.text("id"), fields.text("name").map(str::to_owned));
        let save_changes = fields.flag("save_changes");
        let id = match (id, &name) {
            (None, Some(_)) => None,
            (Some(id), None) => Some(fields.check("id", profile_id(id))?),
            _ => {
                fields.refuse_all("must have exactly one of id and name");
                return None;
            }
        };
        Some(Self { id, name, save_changes })
    }
}

fn profile_id(text: &str) -> Result<ProfileId, &'static str> {
    text.parse().map_err(|_| "must be a profile's id (24 lower-case letters and digits)")
}

impl From<ProfileSelection> for ProfileChoice {
    fn from(asked: ProfileSelection) -> Self {
        let ProfileSelection { id, name, save_changes } = asked;
        let id_or_name = id.map(|id| id.to_string()).or(name).unwrap_or_default();
        Self { id_or_name, save_changes: save_changes.unwrap_or(false) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::browsers::validate::CreateBrowser;
    use crate::fields::Checked;

    #[test]
    fn one_profile_is_asked_for() {
        const ID: &str = "p4t9xk2c7w0vqz5m1b8ydhrn";
        let asked = |value: Value| {
            let read = Checked::<CreateBrowser>::of(&json!({ "profile": value })).finish();
            read.map(|(asked, _)| ProfileChoice::from(asked.profile.unwrap()))
                .map_err(|error| error.0.body().details[0].code.clone())
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
