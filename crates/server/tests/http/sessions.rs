//! The browsers resource.

use serde_json::json;

use crate::fixture::{Fixture, id, token};

#[tokio::test]
async fn a_session_is_created_found_changed_and_ended() {
    let fixture = Fixture::start().await;
    let answer = fixture
        .post(
            "/browsers",
            &json!({"headless": true, "name": "bot", "tags": {"team": "a"}, "timeout_seconds": 3600,
                "viewport": {"width": 1280, "height": 800}, "memory": "2GiB", "region": "eu-west",
                "start_url": "example.com", "location": {"timezone": "Europe/Paris"}, "newer": {"x": 1}}),
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-browserd-ignored-fields"), "newer");
    let session = answer.json();
    let (session_id, jwt) = (id(&session), token(&session));
    assert_eq!(session["viewport"], json!({"width": 1280, "height": 800, "refresh_rate": 60}));
    assert_eq!(session["location"]["timezone_source"], "override");
    assert_eq!(session["location"]["locale_source"], "default");
    assert_eq!(session["start_url"], "https://example.com/");
    assert_eq!(session["stealth"], false);
    assert_eq!(jwt.split('.').count(), 3);
    let base = fixture.client.url("");
    assert_eq!(session["base_url"], format!("{base}/browser/kernel"));
    assert_eq!(
        session["webdriver_ws_url"],
        format!("{}/browser/webdriver/session?jwt={jwt}", base.replace("http", "ws"))
    );

    for name in [session_id.as_str(), "bot"] {
        let found = fixture.get(&format!("/browsers/{name}")).await.json();
        assert_eq!(id(&found), session_id);
        assert_eq!(token(&found), jwt, "the same session has the same URLs");
    }
    let changed = fixture.patch("/browsers/bot", &json!({"name": "bot 2", "tags": {}})).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["name"], "bot 2");
    assert!(changed.json().get("tags").is_none());
    assert_eq!(fixture.get("/browsers/bot").await.code(), "browser_not_found");
    assert_eq!(fixture.get("/browsers/bot%202").await.status, 200);

    for _ in 0..2 {
        let gone = fixture.delete(&format!("/browsers/{session_id}")).await;
        assert_eq!((gone.status, gone.body.len()), (204, 0));
    }
    assert_eq!(fixture.get(&format!("/browsers/{session_id}")).await.status, 404);
    let ended = fixture.get(&format!("/browsers/{session_id}?include_deleted=true")).await.json();
    assert_eq!(ended["deletion_reason"], "deleted");
    assert!(ended["deleted_at"].is_string() && ended.get("base_url").is_none());
    assert!(!ended["cdp_ws_url"].as_str().unwrap().contains("jwt"), "a dead session has no token");
    assert_eq!(ended["usage_status"], "ready");
    let direct =
        fixture.client.call("GET", &format!("/browser/kernel/process?jwt={jwt}"), None, None).await;
    assert_eq!((direct.status, direct.code().as_str()), (404, "browser_not_found"));
    let below = fixture.get(&format!("/browsers/{session_id}/process")).await;
    assert_eq!((below.status, below.code().as_str()), (404, "browser_not_found"));
    for answer in [direct, below, fixture.get(&format!("/browsers/{session_id}")).await] {
        let answer = answer.json();
        let said = |code| {
            let details = answer["details"].as_array().unwrap();
            details.iter().find(|detail| detail["code"] == code).unwrap()["message"].clone()
        };
        assert_eq!(said("deletion_reason"), "deleted");
        assert_eq!(said("ended_at"), ended["deleted_at"]);
    }
}

#[tokio::test]
async fn refusals_name_every_field() {
    let fixture = Fixture::start().await;
    let answer = fixture
        .post(
            "/browsers",
            &json!({"timeout_seconds": 1, "viewport": {"width": 1}, "profile": {"id": "x"}}),
        )
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "invalid_input"));
    let details = answer.json()["details"].as_array().unwrap().clone();
    let fields: Vec<&str> = details.iter().map(|d| d["code"].as_str().unwrap()).collect();
    assert_eq!(fields, ["profile.id", "timeout_seconds", "viewport.height", "viewport.width"]);
    let answer = fixture
        .post("/browsers", &json!({"stealth": false, "extensions": [], "telemetry": null}))
        .await;
    assert_eq!(answer.status, 200, "what asks for nothing passes");
    assert_eq!(answer.header("x-browserd-ignored-fields"), "");
}

#[tokio::test]
async fn names_are_unique_among_active_sessions() {
    let fixture = Fixture::start().await;
    let first = fixture.post("/browsers", &json!({"name": "one"})).await.json();
    let second = fixture.post("/browsers", &json!({"name": "one"})).await;
    assert_eq!((second.status, second.code().as_str()), (409, "already_exists"));
    assert_eq!(second.header("x-should-retry"), "false");
    assert!(second.text().contains(&id(&first)));
    fixture.delete("/browsers/one").await;
    assert_eq!(fixture.post("/browsers", &json!({"name": "one"})).await.status, 200);
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let fixture = Fixture::start().await;
    for n in 0..5 {
        let region = if n % 2 == 0 { "us-east" } else { "eu-west" };
        let body =
            json!({"name": format!("bot-{n}"), "tags": {"n": n.to_string()}, "region": region});
        assert_eq!(fixture.post("/browsers", &body).await.status, 200);
    }
    let page = fixture.get("/browsers?limit=2").await;
    assert_eq!(page.json().as_array().unwrap().len(), 2);
    let paging = ["x-limit", "x-offset", "x-has-more", "x-next-offset"]
        .map(|name| page.header(name).to_owned());
    assert_eq!(paging, ["2", "0", "true", "2"]);
    let page = fixture.get("/browsers?limit=2&offset=4").await;
    assert_eq!(page.json()[0]["name"], "bot-0");
    assert_eq!((page.header("x-has-more"), page.header("x-next-offset")), ("false", "0"));

    assert_eq!(fixture.get("/browsers?tags%5Bn%5D=3").await.json()[0]["name"], "bot-3");
    assert_eq!(fixture.get("/browsers?region=eu-west").await.json().as_array().unwrap().len(), 2);
    assert_eq!(fixture.get("/browsers?query=BOT-4").await.json().as_array().unwrap().len(), 1);
    fixture.delete("/browsers/bot-1").await;
    assert_eq!(fixture.get("/browsers").await.json().as_array().unwrap().len(), 4);
    assert_eq!(fixture.get("/browsers?status=deleted").await.json()[0]["name"], "bot-1");
    assert_eq!(
        fixture.get("/browsers?include_deleted=true").await.json().as_array().unwrap().len(),
        5
    );
    let wrong = fixture.get("/browsers?limit=0&status=x").await;
    assert_eq!(wrong.status, 400);
    assert_eq!(wrong.json()["details"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_full_server_says_so() {
    let fixture = Fixture::with_permits(1).await;
    fixture.session().await;
    let answer = fixture.post("/browsers", &json!({})).await;
    assert_eq!((answer.status, answer.code().as_str()), (529, "capacity_exhausted"));
    assert_eq!(answer.header("retry-after"), "1");
    let detail = &answer.json()["details"][0];
    assert_eq!((&detail["code"], &detail["message"]), (&json!("limit"), &json!("max_sessions")));
}
