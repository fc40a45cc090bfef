//! Whether every body reads the fields that the document says, and no others.

use std::collections::{BTreeMap, BTreeSet};

use browserd_api::replays::StartReplay;
use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApiBuilder;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use super::{Body, Checked};
use crate::browsers::validate::{CreateBrowser, UpdateBrowser};
use crate::openapi;
use crate::profiles::validate::{CreateProfile, UpdateProfile};
use crate::proxies::check::CheckProxy;
use crate::proxies::validate::{CreateProxy, UpdateProxy};

/// A field that no body has.
const UNKNOWN: &str = "unheard_of";

/// Every body: its name in the document, and its test.
fn bodies() -> BTreeMap<String, fn()> {
    fn body<T: Body>() -> (String, fn()) {
        (T::name().into_owned(), what_is_documented_is_read::<T>)
    }
    [
        body::<CreateBrowser>(),
        body::<UpdateBrowser>(),
        body::<CreateProfile>(),
        body::<UpdateProfile>(),
        body::<CreateProxy>(),
        body::<UpdateProxy>(),
        body::<CheckProxy>(),
        body::<StartReplay>(),
    ]
    .into()
}

#[test]
fn every_body_reads_what_it_documents() {
    for test in bodies().values() {
        test();
    }
}

/// So that a new one is not forgotten above.
#[test]
fn every_body_of_the_document_is_tested() {
    let document = openapi::document(&OpenApiBuilder::new().build());
    let document = serde_json::to_value(document).unwrap();
    let mut named = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            if let Some(body) = operation.get("requestBody") {
                named.insert(reference(body).expect("a body of its own name").to_owned());
            }
        }
    }
    assert_eq!(named, bodies().into_keys().collect());
}

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
fn reference(schema: &Value) -> Option<&str> {
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
