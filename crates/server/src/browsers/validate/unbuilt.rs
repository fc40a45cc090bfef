//! Documented fields this version does not have: refused by name, unless their value asks for
//! nothing anyway.

use serde_json::Value;

use crate::fields::Fields;

/// Fields of a creation that a later version will take.
const CREATE: [(&str, &str); 9] = [
    ("gpu", "GPU acceleration"),
    ("video_memory", "GPU acceleration"),
    ("extensions", "extensions"),
    ("network", "network rules for a session"),
    ("telemetry", "telemetry"),
    ("vaults", "vaults"),
    ("invocation_id", "app invocations"),
    ("persistence", "persistence"),
    ("pool", "browser pools"),
];

/// Fields of a change that a later version will take.
const UPDATE: [(&str, &str); 3] = [
    ("disable_default_proxy", "a default proxy"),
    ("network", "network rules for a session"),
    ("telemetry", "telemetry"),
];

/// Names of [`CREATE`], for the document.
pub(crate) fn create_fields() -> impl Iterator<Item = (&'static str, &'static str)> {
    CREATE.into_iter()
}

/// Names of [`UPDATE`], for the document.
pub(crate) fn update_fields() -> impl Iterator<Item = (&'static str, &'static str)> {
    UPDATE.into_iter()
}

/// Refuses what a creation asks of things not built yet.
pub(super) fn refuse_in_create(fields: &mut Fields<'_>) {
    refuse(&CREATE, fields);
}

/// Refuses what a change asks of things not built yet.
pub(super) fn refuse_in_update(fields: &mut Fields<'_>) {
    refuse(&UPDATE, fields);
}

fn refuse(table: &[(&str, &str)], fields: &mut Fields<'_>) {
    for (field, thing) in table {
        if let Some(value) = fields.take_undocumented(field)
            && !asks_for_nothing(field, value)
        {
            let why = format!("this version does not have {thing} yet; leave the field out");
            fields.refuse(field, why);
        }
    }
}

/// Values that describe what happens without the field.
fn asks_for_nothing(field: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) if map.is_empty() => true,
        Value::Object(map) => match field {
            "telemetry" => map.len() == 1 && map.get("enabled") == Some(&Value::Bool(false)),
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_asks_for_nothing_passes() {
        for (field, value) in [
            ("gpu", json!(false)),
            ("extensions", json!([])),
            ("telemetry", json!(null)),
            ("telemetry", json!({"enabled": false})),
            ("network", json!({})),
        ] {
            assert!(asks_for_nothing(field, &value), "{field} {value}");
        }
        for (field, value) in [
            ("gpu", json!(true)),
            ("extensions", json!([{"id": "x"}])),
            ("telemetry", json!({"enabled": true})),
            ("invocation_id", json!("x")),
        ] {
            assert!(!asks_for_nothing(field, &value), "{field} {value}");
        }
    }
}
