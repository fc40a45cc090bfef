//! The document, as the pages need it.

use serde_json::Value;

/// The whole API.
#[derive(Debug, Default)]
pub(super) struct Api {
    pub(super) title: String,
    pub(super) version: String,
    pub(super) description: String,
    pub(super) groups: Vec<Group>,
}

/// Operations of one tag.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) operations: Vec<Operation>,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) summary: String,
    pub(super) description: String,
    /// `key`, `token` or nothing.
    pub(super) credential: Option<&'static str>,
    pub(super) parameters: Vec<Field>,
    pub(super) body: Vec<Field>,
    pub(super) answers: Vec<Answer>,
}

/// A parameter, or a field of a body.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    /// `path`, `query`, `header`, or nothing for fields of a body.
    pub(super) place: String,
    pub(super) kind: String,
    pub(super) required: bool,
    pub(super) description: String,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: String,
    pub(super) description: String,
    /// Content type, if it has a body.
    pub(super) content: Option<String>,
    /// Fields of a JSON body, for answers that are no refusals.
    pub(super) fields: Vec<Field>,
}

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

impl Api {
    pub(super) fn read(json: &[u8]) -> Self {
        let document: Value = serde_json::from_slice(json).unwrap_or_default();
        let mut api = Self {
            title: text(&document["info"]["title"]),
            version: text(&document["info"]["version"]),
            description: text(&document["info"]["description"]),
            groups: Vec::new(),
        };
        for tag in items(&document["tags"]) {
            api.groups.push(Group {
                name: text(&tag["name"]),
                description: text(&tag["description"]),
                operations: Vec::new(),
            });
        }
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for method in METHODS {
                if let Some(operation) = item.get(method) {
                    let read = read_operation(&document, path, method, operation);
                    api.group(&text(&operation["tags"][0])).operations.push(read);
                }
            }
        }
        api.groups.retain(|group| !group.operations.is_empty());
        api
    }

    pub(super) fn operation(&self, id: &str) -> Option<&Operation> {
        self.groups.iter().flat_map(|group| &group.operations).find(|operation| operation.id == id)
    }

    fn group(&mut self, name: &str) -> &mut Group {
        let at = self.groups.iter().position(|group| group.name == name).unwrap_or_else(|| {
            self.groups.push(Group {
                name: name.to_owned(),
                description: String::new(),
                operations: Vec::new(),
            });
            self.groups.len() - 1
        });
        &mut self.groups[at]
    }
}

fn read_operation(document: &Value, path: &str, method: &str, operation: &Value) -> Operation {
    let schemes =
        items(&operation["security"]).iter().filter_map(Value::as_object).flat_map(|s| s.keys());
    let credential = schemes.map(|s| if s == "apiKey" { "key" } else { "token" }).next();
    let parameters = items(&operation["parameters"]).iter().map(|parameter| Field {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        kind: kind(document, &parameter["schema"]),
        required: parameter["required"] == true,
        description: text(&parameter["description"]),
    });
    let content = |value: &Value| {
        value["content"]
            .as_object()
            .and_then(|all| all.iter().next())
            .map(|(name, media)| (name.clone(), media["schema"].clone()))
    };
    let body = content(&operation["requestBody"])
        .map(|(_, schema)| fields(document, &schema))
        .unwrap_or_default();
    let answers =
        operation["responses"].as_object().into_iter().flatten().map(|(status, answer)| {
            let answer = resolve(document, answer);
            let media = content(answer);
            let refusal = status.starts_with(['4', '5']);
            Answer {
                status: status.clone(),
                description: text(&answer["description"]),
                fields: match &media {
                    Some((_, schema)) if !refusal => fields(document, schema),
                    _ => Vec::new(),
                },
                content: media.map(|(name, _)| name),
            }
        });
    Operation {
        id: text(&operation["operationId"]),
        method: method.to_ascii_uppercase(),
        path: path.to_owned(),
        summary: text(&operation["summary"]).trim_end_matches('.').to_owned(),
        description: text(&operation["description"]),
        credential,
        parameters: parameters.collect(),
        body,
        answers: answers.collect(),
    }
}

/// What a `$ref` leads to, or the value itself.
fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).unwrap_or(&Value::Null),
        None => value,
    }
}

/// The fields of an object schema, of the items of a list, or of the first object among choices.
/// Fields of objects inside come as `viewport.width`.
fn fields(document: &Value, schema: &Value) -> Vec<Field> {
    let mut all = Vec::new();
    collect(document, schema, "", &mut all, 0);
    all
}

fn collect(document: &Value, schema: &Value, prefix: &str, into: &mut Vec<Field>, depth: usize) {
    // Schemas may refer to themselves.
    if depth > 8 {
        return;
    }
    let schema = resolve(document, schema);
    let required = items(&schema["required"]);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let name_within = format!("{prefix}{name}");
        into.push(Field {
            name: name_within.clone(),
            place: String::new(),
            kind: kind(document, field),
            required: required.iter().any(|required| required == name),
            description: description(field),
        });
        collect(document, field, &format!("{name_within}."), into, depth + 1);
    }
    for part in items(&schema["allOf"]) {
        collect(document, part, prefix, into, depth + 1);
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(part) = items(&schema[choice]).iter().find(|part| part["type"] != "null") {
            collect(document, part, prefix, into, depth + 1);
        }
    }
    if schema["items"].is_object() {
        collect(document, &schema["items"], prefix, into, depth + 1);
    }
}

/// A schema's own words, or those of its first choice that has some.
fn description(schema: &Value) -> String {
    let choices = ["oneOf", "anyOf", "allOf"].into_iter().flat_map(|choice| items(&schema[choice]));
    let mut all = std::iter::once(schema).chain(choices).map(|schema| text(&schema["description"]));
    all.find(|text| !text.is_empty()).unwrap_or_default()
}

/// A schema's type in a few words.
fn kind(document: &Value, schema: &Value) -> String {
    let name = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next());
    let schema = resolve(document, schema);
    for choice in ["oneOf", "anyOf", "allOf"] {
        let parts: Vec<String> = items(&schema[choice])
            .iter()
            .map(|part| kind(document, part))
            .filter(|kind| kind != "null")
            .collect();
        if !parts.is_empty() {
            return parts.join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        // Long lists are looked up by their name.
        return match name {
            Some(name) if values.len() > 8 => name.to_owned(),
            _ => values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | "),
        };
    }
    let mut words = match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    };
    if words == "array" {
        words = format!("list of {}", kind(document, &schema["items"]));
    } else if words == "object"
        && let Some(name) = name
    {
        words = name.to_owned();
    }
    match (&schema["minimum"], &schema["maximum"]) {
        (Value::Null, Value::Null) => {}
        (min, Value::Null) => words.push_str(&format!(", from {min}")),
        (Value::Null, max) => words.push_str(&format!(", to {max}")),
        (min, max) => words.push_str(&format!(", {min} to {max}")),
    }
    words
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_within_fields_and_choices_are_found() {
        let document = json!({"components": {"schemas": {
            "Size": {"type": "object", "required": ["w"], "properties": {
                "w": {"type": "integer", "minimum": 1, "maximum": 9, "description": "Width."},
                "self": {"$ref": "#/components/schemas/Size"}}},
            "Color": {"type": "string", "enum": ["red", "blue"]}}}});
        let schema = json!({"type": "object", "properties": {
            "size": {"oneOf": [{"type": "null"}, {"$ref": "#/components/schemas/Size", "description": "How big."}]},
            "colors": {"type": "array", "items": {"$ref": "#/components/schemas/Color"}}}});
        let fields = fields(&document, &schema);
        let find = |name: &str| fields.iter().find(|field| field.name == name).unwrap();
        assert_eq!(find("colors").kind, "list of \"red\" | \"blue\"");
        assert_eq!(
            (find("size").kind.as_str(), find("size").description.as_str()),
            ("Size", "How big.")
        );
        assert!(find("size.w").required);
        assert_eq!(find("size.w").kind, "integer, 1 to 9");
        assert!(fields.len() < 100, "a schema that refers to itself ends");
    }
}
