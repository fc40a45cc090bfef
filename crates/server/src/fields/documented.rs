//! Whether a body reads the fields that the document says, and no others.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use super::{Body, Checked};

/// A field that no body has.
const UNKNOWN: &str = "unheard_of";

/// Reads a body that has all documented fields, and one more in each of its objects.
pub(crate) fn what_is_documented_is_read<T: Body>() {
    let mut schemas: Vec<(String, RefOr<Schema>)> = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    let schemas: Map<String, Value> = schemas
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap()))
        .collect();
    let mut expected = Expected::default();
    let body = expected.object("", &schemas[&*T::name()], &schemas).expect("an object");
    assert!(!expected.documented.is_empty(), "{body}");

    let report = Checked::<T>::of(&body).report();
    let (read, ignored) = (report.read.into_iter().collect(), report.ignored.into_iter().collect());
    assert_eq!(expected.documented, read, "{}", T::name());
    assert_eq!(expected.unknown, ignored, "{}", T::name());
}

/// The paths of a body's fields.
#[derive(Default)]
struct Expected {
    documented: BTreeSet<String>,
    unknown: BTreeSet<String>,
}

impl Expected {
    /// An object with all properties of a schema, null where they are no objects themselves; none if the
    /// schema has no properties.
    fn object(
        &mut self,
        path: &str,
        schema: &Value,
        schemas: &Map<String, Value>,
    ) -> Option<Value> {
        let schema = reference(schema).map_or(schema, |name| &schemas[name]);
        let properties = schema.get("properties")?.as_object()?;
        let at =
            |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        self.unknown.insert(at(UNKNOWN));
        let mut object = json!({ UNKNOWN: 1 });
        for (name, property) in properties {
            self.documented.insert(at(name));
            object[name] = self.object(&at(name), property, schemas).unwrap_or_default();
        }
        Some(object)
    }
}

/// The schema that is referred to, directly or among alternatives.
pub(crate) fn reference(schema: &Value) -> Option<&str> {
    match schema {
        Value::Object(map) => match map.get("$ref") {
            Some(name) => name.as_str()?.rsplit('/').next(),
            None if map.contains_key("properties") => None,
            None => map.values().find_map(reference),
        },
        Value::Array(items) => items.iter().find_map(reference),
        _ => None,
    }
}
