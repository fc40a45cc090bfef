//! Whether that is enough for a whole resource.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn;
use browserd_api::{ProjectId, Timestamp};
use browserd_rest::envelope;
use browserd_store::conformance::{self, Sample};
use browserd_store::{SqliteStore, Store};
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::Service as _;

use super::routes;
use super::row::NoteRow;
use super::wire::{NoteId, WriteNote};
use crate::caller::Permissions;
use crate::fields::documented::what_is_documented_is_read;
use crate::keys::{ApiKey, ApiKeys};
use crate::openapi;
use crate::wire::require_key;

async fn store() -> Arc<dyn Store> {
    Arc::new(SqliteStore::in_memory_with(include_str!("table.sql")).await.unwrap())
}

impl Sample for NoteRow {
    fn sample(age: i64, name: Option<&str>) -> Self {
        Self {
            id: NoteId::generate(),
            name: name.map(str::to_owned),
            text: String::new(),
            tags: [("a".to_owned(), "b".to_owned())].into(),
            created_at: Timestamp::from_micros(1_700_000_000_000_000 + age),
        }
    }
}

#[tokio::test]
async fn its_rows_pass_the_suite() {
    conformance::rows::<NoteRow, _, _>(store).await;
}

#[test]
fn its_routes_say_what_they_refuse_with() {
    let mut document = routes().into_openapi();
    openapi::complete(&mut document);
    let notes = serde_json::to_value(&document).unwrap();
    let said = |path: &str, method: &str, status: &str| {
        let shared = notes["paths"][path][method]["responses"][status]["$ref"].as_str();
        shared.map_or("", |shared| shared.rsplit('/').next().unwrap()).to_owned()
    };
    assert_eq!(said("/notes", "get", "400"), "invalid_input");
    assert_eq!(said("/notes", "post", "400"), "bad_request_or_invalid_input");
    assert_eq!(said("/notes", "post", "409"), "already_exists");
    assert_eq!(said("/notes", "post", "404"), "");
    for method in ["get", "patch", "delete"] {
        assert_eq!(said("/notes/{id_or_name}", method, "404"), "not_found", "{method}");
    }
}

#[test]
fn its_body_reads_what_it_documents() {
    what_is_documented_is_read::<WriteNote>();
}

#[test]
fn eight_files_are_enough() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/notes");
    assert!(std::fs::read_dir(folder).unwrap().count() <= 8);
}

/// Notes behind keys of two projects, as the whole router has its resources.
struct Served(Router);

impl Served {
    async fn start() -> Self {
        let key = |key: &str, project| ApiKey {
            id: key.to_owned(),
            hash: ApiKeys::hash(key.as_bytes()),
            project,
            permissions: Permissions::All,
        };
        let keys =
            ApiKeys::new([key("mine", ProjectId::default()), key("theirs", ProjectId::generate())]);
        let routes = routes().split_for_parts().0.layer(from_fn(envelope));
        Self(require_key(keys, routes).with_state(store().await))
    }

    async fn ask(
        &self,
        key: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (u16, HeaderMap, Value) {
        let mut request = Request::builder().method(method).uri(path);
        if !key.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        let answer = self.0.clone().call(request.unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        (parts.status.as_u16(), parts.headers, body)
    }
}

#[tokio::test]
async fn a_note_is_made_found_listed_renamed_and_deleted() {
    let notes = Served::start().await;
    let body = json!({"name": "one", "text": "Buy milk", "team": "a", "later": 1});
    let (status, headers, one) = notes.ask("mine", "POST", "/notes", Some(body.clone())).await;
    assert_eq!((status, &headers["x-browserd-ignored-fields"]), (201, &"later".parse().unwrap()));
    let id = one["id"].as_str().unwrap().to_owned();
    let (status, _, refused) = notes.ask("mine", "POST", "/notes", Some(body)).await;
    assert_eq!((status, &refused["code"]), (409, &json!("already_exists")));
    assert_eq!(refused["message"], "another note is called one; choose another name");
    assert_eq!(refused["details"][0], json!({"code": "existing_id", "message": id}));
    let (status, _, refused) =
        notes.ask("mine", "POST", "/notes", Some(json!({"name": "/"}))).await;
    assert_eq!((status, &refused["details"][0]["code"]), (400, &json!("name")));
    for name in ["two", "three"] {
        notes.ask("mine", "POST", "/notes", Some(json!({"name": name}))).await;
    }

    for id_or_name in ["one", &id] {
        let (status, _, found) =
            notes.ask("mine", "GET", &format!("/notes/{id_or_name}"), None).await;
        assert_eq!((status, &found["id"]), (200, &json!(id)));
    }
    let names = async |query: &str| {
        let (status, headers, page) =
            notes.ask("mine", "GET", &format!("/notes{query}"), None).await;
        assert_eq!(status, 200);
        let names: Vec<_> =
            page.as_array().unwrap().iter().map(|note| note["name"].clone()).collect();
        (names, headers["x-has-more"] == "true")
    };
    assert_eq!(names("?limit=2").await, (vec![json!("three"), json!("two")], true));
    assert_eq!(names("?limit=2&offset=2").await, (vec![json!("one")], false));
    for query in ["?query=MILK", "?query=ON", "?name=ONE", "?tags[team]=a"] {
        assert_eq!(names(query).await, (vec![json!("one")], false), "{query}");
    }
    assert_eq!(names("?tags[team]=b").await, (vec![], false));

    let (status, _, refused) =
        notes.ask("mine", "PATCH", "/notes/two", Some(json!({"name": "one"}))).await;
    assert_eq!((status, &refused["code"]), (409, &json!("already_exists")));
    let (status, _, changed) =
        notes.ask("mine", "PATCH", "/notes/two", Some(json!({"name": "2"}))).await;
    assert_eq!((status, &changed["name"]), (200, &json!("2")));
    assert_eq!(notes.ask("mine", "DELETE", "/notes/2", None).await.0, 204);
    for method in ["GET", "DELETE"] {
        let (status, _, refused) = notes.ask("mine", method, "/notes/2", None).await;
        assert_eq!((status, &refused["code"]), (404, &json!("not_found")));
        assert_eq!(refused["message"], "no note has the id or name \"2\"; GET /notes lists them");
    }
}

#[tokio::test]
async fn a_note_is_not_there_for_another_project() {
    let notes = Served::start().await;
    let (_, _, one) = notes.ask("mine", "POST", "/notes", Some(json!({"name": "one"}))).await;
    let (status, _, page) = notes.ask("theirs", "GET", "/notes", None).await;
    assert_eq!((status, page), (200, json!([])));
    for id_or_name in ["one", one["id"].as_str().unwrap()] {
        let path = format!("/notes/{id_or_name}");
        for (method, body) in [("GET", None), ("PATCH", Some(json!({}))), ("DELETE", None)] {
            assert_eq!(notes.ask("theirs", method, &path, body).await.0, 404, "{method} {path}");
        }
    }
    let (status, _, twin) =
        notes.ask("theirs", "POST", "/notes", Some(json!({"name": "one"}))).await;
    assert_eq!(status, 201);
    assert_ne!(twin["id"], one["id"]);
    assert_eq!(notes.ask("mine", "GET", "/notes/one", None).await.2["id"], one["id"]);
    assert_eq!(notes.ask("", "GET", "/notes", None).await.0, 401);
}
