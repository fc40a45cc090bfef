//! What every request meets before a handler.

use axum::body::Body;
use http::Request;
use serde_json::json;

use crate::fixture::{Fixture, KEY, id, token};

#[tokio::test]
async fn the_api_needs_a_key_and_says_nothing_without_one() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let mut bodies = Vec::new();
    for path in ["/browsers", &format!("/browsers/{}", id(&session)), "/browsers/unknown", "/apps"]
    {
        for key in [None, Some("wrong"), Some(""), Some("sk_tes")] {
            let answer = fixture.client.call("GET", path, key, None).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (401, "unauthorized"),
                "{path} {key:?}"
            );
            assert!(answer.header("www-authenticate").starts_with("Bearer"));
            bodies.push(answer.text());
        }
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "one refusal for all");
    let request = Request::get(fixture.client.url("/browsers"))
        .header("authorization", format!("bearer {KEY}"));
    assert_eq!(fixture.client.exchange(request.body(Body::empty()).unwrap()).await.status, 200);
}

#[tokio::test]
async fn unknown_paths_and_methods_have_their_refusals() {
    let fixture = Fixture::start().await;
    for key in [None, Some(KEY)] {
        let answer = fixture.client.call("GET", "/nowhere/at/all", key, None).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "route_not_found"));
    }
    for (method, path, allow) in [
        ("PUT", "/browsers", "GET,HEAD,POST"),
        ("POST", "/browsers/x", "GET,HEAD,DELETE,PATCH"),
        ("DELETE", "/browsers/x/process/exec", "POST"),
        ("POST", "/health", "GET,HEAD"),
        ("GET", "/browser/cdp/json/new", "PUT"),
        ("PATCH", "/extensions/from_chrome_store", "GET,HEAD"),
    ] {
        let answer = fixture.client.call(method, path, Some(KEY), None).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (405, "method_not_allowed"),
            "{method} {path}"
        );
        let sorted = |text: &str| {
            let mut all: Vec<String> = text.split(',').map(|m| m.trim().to_owned()).collect();
            all.sort();
            all
        };
        assert_eq!(sorted(answer.header("allow")), sorted(allow), "{method} {path}");
    }
}

#[tokio::test]
async fn bodies_are_json_and_bounded() {
    let fixture = Fixture::start().await;
    let post = |content_type: &'static str, body: String| {
        let request = Request::post(fixture.client.url("/browsers"))
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", content_type)
            .body(Body::from(body))
            .unwrap();
        let client = fixture.client.clone();
        async move { client.exchange(request).await }
    };
    let answer = post("text/plain", "{}".into()).await;
    assert_eq!((answer.status, answer.code().as_str()), (415, "unsupported_media_type"));
    let answer =
        post("application/json", format!("{{\"name\":\"{}\"}}", "x".repeat(7 << 20))).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "payload_too_large"));
    let answer = post("application/json", "{".into()).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
    let answer = post("application/json", "null".into()).await;
    assert_eq!(answer.json()["details"][0]["code"], "body");
    let answer = post("application/json", String::new()).await;
    assert_eq!(answer.status, 200, "an empty body asks for nothing");
}

#[tokio::test]
async fn large_heads_are_refused_in_words() {
    let fixture = Fixture::start().await;
    let request = Request::get(fixture.client.url("/health"))
        .header("x-long", "x".repeat(70_000))
        .body(Body::empty())
        .unwrap();
    let answer = fixture.client.exchange(request).await;
    assert_eq!((answer.status, answer.code().as_str()), (431, "headers_too_large"));
}

#[tokio::test]
async fn request_ids_come_back() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.get("/health").await.header("x-request-id").len(), 32);
    let request = Request::get(fixture.client.url("/nowhere"))
        .header("x-request-id", "mine-1")
        .body(Body::empty())
        .unwrap();
    assert_eq!(fixture.client.exchange(request).await.header("x-request-id"), "mine-1");
}

#[tokio::test]
async fn there_is_one_project() {
    let fixture = Fixture::start().await;
    for (name, value, status) in [
        ("x-kernel-project", "default", 200),
        ("x-kernel-project-id", "default", 200),
        ("x-kernel-project", "other", 404),
        ("x-kernel-project-id", "proj_1", 404),
    ] {
        let request = Request::get(fixture.client.url("/browsers"))
            .header("authorization", format!("Bearer {KEY}"))
            .header(name, value)
            .body(Body::empty())
            .unwrap();
        let answer = fixture.client.exchange(request).await;
        assert_eq!(answer.status, status, "{name}: {value}");
        if status == 404 {
            assert_eq!(answer.code(), "project_not_found");
        }
    }
}

#[tokio::test]
async fn unbuilt_operations_name_themselves() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let (id, jwt) = (id(&session), token(&session));
    for (method, path, name) in [
        ("GET", "/apps".to_owned(), "apps.list"),
        (
            "POST",
            format!("/browsers/{id}/computer/screenshot"),
            "browsers.computer.capture_screenshot",
        ),
        ("POST", format!("/browsers/{id}/process/spawn"), "browsers.process.spawn"),
        (
            "GET",
            "/extensions/from_chrome_store".to_owned(),
            "extensions.download_from_chrome_store",
        ),
        ("GET", "/extensions/anything".to_owned(), "extensions.download"),
        ("GET", format!("/browser/kernel/fs/file_info?path=/x&jwt={jwt}"), "browsers.fs"),
    ] {
        let answer = fixture.client.call(method, &path, Some(KEY), None).await;
        assert_eq!((answer.status, answer.code().as_str()), (501, "not_implemented"), "{path}");
        assert!(answer.json()["message"].as_str().unwrap().contains(name), "{}", answer.text());
        assert_eq!(answer.header("x-should-retry"), "false");
    }
    assert_eq!(fixture.client.call("GET", "/apps", None, None).await.status, 401);
    let answer =
        fixture.client.call("GET", "/browser/kernel/fs/file_info?jwt=x.y.z", Some(KEY), None).await;
    assert_eq!(answer.status, 401, "direct routing takes session tokens only");
}

#[tokio::test]
async fn the_documents_are_open_and_whole() {
    let fixture = Fixture::start().await;
    let call = async |path: &'static str| fixture.client.call("GET", path, None, None).await;
    assert_eq!(call("/health").await.json(), json!({"status": "ok"}));
    let status = call("/status").await.json();
    assert_eq!(status["status"], "operational");
    assert_eq!(status["groups"][0]["components"][0]["status"], "operational");

    let spec = call("/spec.json").await.json();
    assert_eq!(spec["openapi"], "3.1.0");
    let exec = &spec["paths"]["/browsers/{id_or_name}/process/exec"]["post"];
    assert_eq!(exec["operationId"], "browsers.process.exec");
    assert!(exec["responses"]["401"].is_object() && exec["responses"]["502"].is_object());
    assert_eq!(exec["parameters"][0]["name"], "id_or_name");
    assert!(spec["paths"]["/apps"]["get"]["responses"]["501"].is_object());
    assert!(spec["components"]["responses"]["not_implemented"]["content"].is_object());
    assert!(spec["paths"].get("/browsers/{id_or_name}/webdriver/session").is_none());
    for operation in browserd_api::operations::all() {
        let method = operation.method.to_ascii_lowercase();
        assert!(spec["paths"][operation.path][&method].is_object(), "{method} {}", operation.path);
    }
    let yaml = call("/spec.yaml").await;
    assert!(yaml.text().contains("openapi: 3.1.0"));

    let html = call("/docs").await;
    assert!(html.header("content-type").starts_with("text/html"));
    let text = html.text();
    assert!(!text.contains("<script") && !text.contains("src=") && !text.contains("@import"));
    assert!(text.contains("id=\"browsers.create\""));
    let index = call("/llms.txt").await.text();
    for line in index.lines().filter(|line| line.starts_with("- [")) {
        let page = line.split_once("](").unwrap().1.split_once(')').unwrap().0;
        // Relative, so that they also lead somewhere below a public URL with a path.
        let page = fixture.client.call("GET", &format!("/{page}"), None, None).await;
        assert_eq!(page.status, 200, "{line}");
        assert!(page.text().starts_with("# "));
    }
    let answer = call("/docs/nothing.md").await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    assert_eq!(call("/").await.status, 200);
}
