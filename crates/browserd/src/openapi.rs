//! The `OpenAPI` document in the repository is the one the code makes.
//!
//! `BROWSERD_UPDATE_OPENAPI=1 cargo test -p browserd openapi` writes it anew.

use std::path::Path;

#[test]
fn the_committed_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.yaml");
    let made = browserd_server::yaml(&browserd_server::document(&browserd_guest::openapi()));
    if std::env::var_os("BROWSERD_UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs =
        committed.lines().zip(made.lines()).position(|(committed, made)| committed != made);
    let line = differs.unwrap_or_else(|| committed.lines().count().min(made.lines().count())) + 1;
    assert!(
        committed == made,
        "docs/openapi.yaml differs from the code, first in line {line}; \
         run BROWSERD_UPDATE_OPENAPI=1 cargo test -p browserd openapi and look at the difference"
    );
}

#[test]
fn every_reference_of_it_leads_somewhere() {
    let document = browserd_server::document(&browserd_guest::openapi());
    let document = serde_json::to_value(&document).unwrap();
    let mut todo = vec![&document];
    while let Some(value) = todo.pop() {
        if let Some(reference) = value.get("$ref").and_then(serde_json::Value::as_str) {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
        match value {
            serde_json::Value::Object(map) => todo.extend(map.values()),
            serde_json::Value::Array(items) => todo.extend(items),
            _ => {}
        }
    }
}
