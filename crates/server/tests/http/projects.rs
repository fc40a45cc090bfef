//! Two projects: nothing of one is there for callers of the other.

use axum::body::Body;
use browserd_api::replays::ReplayEndReason;
use browserd_api::{ProjectId, ReplayId, Timestamp};
use browserd_store::{BlobKey, ProfileRow, ReplayEnd, ReplayRow, Saved};
use http::{Request, header};
use serde_json::{Value, json};

use crate::fixture::{Fixture, KEY, OTHER_KEY, id, token};

fn proxy(name: &str) -> Value {
    json!({"type": "custom", "name": name, "protocol": "http",
           "config": {"host": "proxy.example", "port": 3128}})
}

/// A thing called `work` that one project has is neither seen nor changed in another, where the name means
/// another thing.
async fn assert_apart(fixture: &Fixture, many: &str, body: &Value, id_field: &str, missing: &str) {
    let path = format!("/{many}");
    let made = fixture.post(&path, body).await;
    assert!(matches!(made.status, 200 | 201), "{}", made.text());
    let made_id = made.json()[id_field].as_str().unwrap().to_owned();

    assert_eq!(fixture.elsewhere("GET", &path, None).await.json(), json!([]));
    let by_id = format!("{path}?query={made_id}");
    assert_eq!(fixture.elsewhere("GET", &by_id, None).await.json(), json!([]));
    let rename = json!({"name": "stolen"});
    for id_or_name in ["work", &made_id] {
        let one = format!("{path}/{id_or_name}");
        for (method, body) in [("GET", None), ("PATCH", Some(&rename)), ("DELETE", None)] {
            let answer = fixture.elsewhere(method, &one, body).await;
            assert_eq!((answer.status, answer.code().as_str()), (404, missing), "{method} {one}");
        }
    }

    let twin = fixture.elsewhere("POST", &path, Some(body)).await;
    assert!(matches!(twin.status, 200 | 201), "the name is free there: {}", twin.text());
    let twin_id = twin.json()[id_field].as_str().unwrap().to_owned();
    let found = fixture.get(&format!("{path}/work")).await.json();
    assert_eq!(found[id_field], made_id);
    assert_eq!(
        fixture.elsewhere("GET", &format!("{path}/work"), None).await.json()[id_field],
        twin_id
    );
    assert_eq!(fixture.get(&path).await.json().as_array().unwrap().len(), 1);
    assert_eq!(fixture.elsewhere("DELETE", &format!("{path}/work"), None).await.status, 204);
    assert_eq!(fixture.get(&format!("{path}/work")).await.status, 200);
}

/// The path of a new session of the other project.
async fn browser_elsewhere(fixture: &Fixture) -> String {
    let made = fixture.elsewhere("POST", "/browsers", Some(&json!({"headless": true}))).await;
    format!("/browsers/{}", id(&made.json()))
}

#[tokio::test]
async fn proxies_are_their_projects() {
    let fixture = Fixture::start().await;
    assert_apart(&fixture, "proxies", &proxy("work"), "id", "proxy_not_found").await;
    let check = fixture.elsewhere("POST", "/proxies/work/check", None).await;
    assert_eq!((check.status, check.code().as_str()), (404, "proxy_not_found"));
    let id = fixture.get("/proxies/work").await.json()["id"].clone();
    let theirs = browser_elsewhere(&fixture).await;
    for asked in [json!({"id": id}), json!({"name": "work"})] {
        let body = json!({"headless": true, "proxy": asked});
        let taken = fixture.elsewhere("POST", "/browsers", Some(&body)).await;
        assert_eq!(taken.code(), "proxy_not_found", "{}", taken.text());
        let change = json!({"proxy": asked});
        let taken = fixture.elsewhere("PATCH", &theirs, Some(&change)).await;
        assert_eq!(taken.code(), "proxy_not_found", "{}", taken.text());
    }
}

#[tokio::test]
async fn profiles_are_their_projects() {
    let fixture = Fixture::start().await;
    assert_apart(&fixture, "profiles", &json!({"name": "work"}), "id", "profile_not_found").await;
    let id = fixture.get("/profiles/work").await.json()["id"].clone();
    let theirs = browser_elsewhere(&fixture).await;
    for asked in [json!({"id": id}), json!({"name": "work"})] {
        let body = json!({"headless": true, "profile": asked});
        let taken = fixture.elsewhere("POST", "/browsers", Some(&body)).await;
        assert_eq!(taken.code(), "profile_not_found", "{}", taken.text());
        let change = json!({"profile": asked});
        let taken = fixture.elsewhere("PATCH", &theirs, Some(&change)).await;
        assert_eq!(taken.code(), "profile_not_found", "{}", taken.text());
    }

    // What is saved is kept below the project.
    let (project, id) = (ProjectId::default(), id.as_str().unwrap().parse().unwrap());
    let key = BlobKey::profile(&project, &id, "v").unwrap();
    fixture.blobs.put(&key, &mut &b"state"[..], 5).await.unwrap();
    let saved = Saved { version: "v".into(), bytes: 5 };
    let rows = fixture.fleet.store().rows::<ProfileRow>(&project);
    rows.saved(&id, Timestamp::now(), &saved).await.unwrap();
    let path = format!("/profiles/{id}/download");
    assert_eq!(fixture.get(&path).await.text(), "state");
    assert_eq!(fixture.elsewhere("GET", &path, None).await.status, 404);
}

#[tokio::test]
async fn sessions_are_their_projects() {
    let fixture = Fixture::start().await;
    let body = json!({"headless": true, "name": "work"});
    assert_apart(&fixture, "browsers", &body, "session_id", "browser_not_found").await;
    let session = fixture.get("/browsers/work").await.json();
    let by_id = format!("/browsers/{}", id(&session));
    for path in [
        "/browsers/work/process".to_owned(),
        format!("{by_id}/process"),
        format!("{by_id}/replays"),
        format!("{by_id}?include_deleted=true"),
    ] {
        let answer = fixture.elsewhere("GET", &path, None).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "browser_not_found"), "{path}");
    }
    // The name is that of the one that has ended there.
    let ended = fixture.elsewhere("GET", "/browsers/work?include_deleted=true", None).await.json();
    assert_ne!(id(&ended), id(&session));
    assert!(ended["deleted_at"].is_string());
    assert_eq!(fixture.get("/browsers/work/process").await.status, 200);

    // A token is for one session, whichever project it is of.
    let other = fixture.elsewhere("POST", "/browsers", Some(&body)).await.json();
    for session in [&session, &other] {
        let path = format!("/browser/kernel/process?jwt={}", token(session));
        assert_eq!(fixture.client.call("GET", &path, None, None).await.status, 200);
    }
    let text = fixture.get("/metrics").await.text();
    for project in [&ProjectId::default(), &fixture.other] {
        let line = format!("browserd_sessions_active{{project=\"{project}\"}} 1");
        assert!(text.lines().any(|known| known == line), "{line} is not in:\n{text}");
    }
}

#[tokio::test]
async fn recordings_are_their_projects() {
    let fixture = Fixture::start().await;
    let session = id(&fixture.session().await);
    let (project, replay) = (ProjectId::default(), ReplayId::generate());
    let row = ReplayRow {
        id: replay.clone(),
        session_id: session.parse().unwrap(),
        started_at: Timestamp::now(),
        end: Some(ReplayEnd {
            finished_at: Timestamp::now(),
            reason: ReplayEndReason::Stopped,
            size_bytes: 4,
        }),
    };
    fixture.fleet.store().rows(&project).insert(&row).await.unwrap();
    fixture.blobs.put(&BlobKey::replay(&project, &replay), &mut &b"film"[..], 4).await.unwrap();

    let all = format!("/browsers/{session}/replays");
    let listed = fixture.get(&all).await.json();
    assert_eq!(listed[0]["replay_id"], replay.as_str());
    let one = format!("{all}/{replay}");
    assert_eq!(fixture.get(&one).await.text(), "film");
    let view = listed[0]["replay_view_url"].as_str().unwrap();
    let view = view.strip_prefix(&fixture.client.url("")).unwrap();
    assert_eq!(fixture.client.call("GET", view, None, None).await.text(), "film");

    for (method, path) in [("GET", &all), ("GET", &one), ("POST", &format!("{one}/stop"))] {
        let answer = fixture.elsewhere(method, path, None).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "browser_not_found"), "{path}");
    }
    // Nor below a session of their own.
    let body = json!({"headless": true});
    let theirs = id(&fixture.elsewhere("POST", "/browsers", Some(&body)).await.json());
    let answer =
        fixture.elsewhere("GET", &format!("/browsers/{theirs}/replays/{replay}"), None).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "replay_not_found"));
}

#[tokio::test]
async fn a_caller_names_its_own_project_or_none() {
    let fixture = Fixture::start().await;
    let ask = async |key: &str, project: &str| {
        let request = Request::get(fixture.client.url("/browsers"))
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .header("x-kernel-project", project)
            .body(Body::empty())
            .unwrap();
        fixture.client.exchange(request).await
    };
    let other = fixture.other.to_string();
    for (key, project) in [
        (KEY, ""),
        (KEY, "default"),
        (KEY, ProjectId::DEFAULT),
        (OTHER_KEY, ""),
        (OTHER_KEY, &other),
    ] {
        assert_eq!(ask(key, project).await.status, 200, "{key} {project}");
    }
    for (key, project) in [(KEY, other.as_str()), (OTHER_KEY, "default"), (KEY, "nobody")] {
        assert_eq!(ask(key, project).await.code(), "project_not_found", "{key} {project}");
    }
}
