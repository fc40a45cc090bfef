//! What this version does not have, as the document says it.

use browserd_api::operations::Operation as Contract;
use browserd_rest::{declare, refusals};
use serde_json::{Value, json};
use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem};
use utoipa::openapi::schema::{AdditionalProperties, Type};
use utoipa::openapi::{ObjectBuilder, OpenApi, RefOr, Schema};

use super::{UNBUILT, text_parameter};
use crate::browsers::validate;

refusals! {
    /// Asking for what is not built yet.
    Unbuilt: NotImplemented;
}

/// Operations of the contract, each with its one answer.
pub(crate) fn unbuilt(operations: &[Contract]) -> OpenApi {
    let mut document = OpenApi::default();
    operations.iter().for_each(|operation| add(&mut document, *operation));
    document
}

fn add(document: &mut OpenApi, contract: Contract) {
    let Some(method) = http_method(contract.method) else { return };
    let mut operation = OperationBuilder::new()
        .operation_id(Some(contract.sdk))
        .tag(UNBUILT)
        .summary(Some(contract.sdk))
        .description(Some("Documented in the public API; this version does not have it yet."));
    for name in
        contract.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    {
        operation = operation.parameter(text_parameter(name, "Part of the path."));
    }
    let mut operation = operation.build();
    declare::<Unbuilt>(&mut operation);
    let item = PathItem::new(method, operation);
    match document.paths.paths.get_mut(contract.path) {
        Some(present) => present.merge_operations(item),
        None => {
            document.paths.paths.insert(contract.path.to_owned(), item);
        }
    }
}

fn http_method(name: &str) -> Option<HttpMethod> {
    Some(match name {
        "GET" => HttpMethod::Get,
        "PUT" => HttpMethod::Put,
        "POST" => HttpMethod::Post,
        "DELETE" => HttpMethod::Delete,
        "PATCH" => HttpMethod::Patch,
        _ => return None,
    })
}

/// Names the fields of a creation and a change that are refused for now, with the values that pass.
pub(super) fn describe_fields(document: &mut OpenApi) {
    let Some(components) = &mut document.components else { return };
    let fields: [(&str, Vec<(&str, &str)>); 2] = [
        ("CreateBrowser", validate::create_fields().collect()),
        ("UpdateBrowser", validate::update_fields().collect()),
    ];
    for (schema, fields) in fields {
        let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(schema) else {
            continue;
        };
        for (field, thing) in fields {
            let described = ObjectBuilder::new()
                .schema_type(utoipa::openapi::schema::SchemaType::AnyValue)
                .enum_values(Some(nothing(field)))
                .description(Some(format!(
                    "This version does not have {thing} yet: only values that ask for nothing pass."
                )))
                .build();
            object
                .properties
                .entry(field.to_owned())
                .or_insert(RefOr::T(Schema::Object(described)));
        }
        // Unknown fields are ignored, on purpose.
        object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(true)));
        object.schema_type = Type::Object.into();
    }
}

/// Values that ask for nothing, as the checks of a request have them.
fn nothing(field: &str) -> Vec<Value> {
    let mut values = vec![Value::Null, json!(false), json!(""), json!([]), json!({})];
    match field {
        "proxy" => values.extend([json!({"mode": "direct"}), json!({"mode": "default"})]),
        "telemetry" => values.push(json!({"enabled": false})),
        _ => {}
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::Checked;

    #[test]
    fn the_document_and_the_checks_agree_on_what_asks_for_nothing() {
        let defaults = validate::Defaults {
            region: browserd_api::browser::Region::UsEast,
            headless_shell: false,
        };
        for (field, _) in validate::create_fields() {
            for value in nothing(field) {
                let body = json!({ field: value });
                assert!(validate::create(Checked::of(&body), &defaults).is_ok(), "{body}");
            }
        }
        for (field, _) in validate::update_fields() {
            for value in nothing(field) {
                let body = json!({ field: value });
                assert!(validate::update(Checked::of(&body)).is_ok(), "{body}");
            }
        }
    }
}
