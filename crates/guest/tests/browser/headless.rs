//! A headless session's browser: ready, reachable through the descriptor-passing socket, speaking the asked language,
//! back after a crash, driven over `WebDriver`, and gone at the end.

use crate::support::{
    Guest, PATIENCE, config, descendants, evaluate, get, go, request_descriptor, run, spec,
};
use browserd_protocol::{GuestReport, HandoffRequest};
use futures_util::{SinkExt, StreamExt};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

pub(crate) fn a_headless_browser_from_start_to_end() {
    run(async {
        let mut start = config();
        start.start_url = Some("data:text/html,<title>start page</title>".into());
        let cgroup = crate::support::cgroup();
        let mut guest = Guest::start_in(spec(start), cgroup.clone());
        let handoff = guest.handoff_socket();
        // Asked before it is ready, the socket waits.
        let (early, socket) = request_descriptor(handoff.clone(), HandoffRequest::Cdp as u8).await;
        assert!(early.ok && socket.is_some(), "{early:?}");
        match guest.report().await {
            GuestReport::Ready { after_ms } => eprintln!("ready after {after_ms} ms"),
            other => panic!("{other:?}"),
        }
        if let Some(cgroup) = &cgroup {
            let members = std::fs::read_to_string(cgroup.join("chromium-1/cgroup.procs")).unwrap();
            assert!(members.lines().count() > 3, "{members}");
        }
        start_page(&guest).await;
        language_and_screen(&guest).await;
        own_sandbox(&guest).await;
        the_socket_hands_out_connections(&guest, &handoff).await;
        bidi(&guest).await;
        crash(&mut guest, &handoff).await;
        nothing_is_left(guest).await;
        if let Some(cgroup) = cgroup {
            // Refused by the kernel if a leaf is left in it.
            std::fs::remove_dir(cgroup).unwrap();
        }
    });
}

async fn start_page(guest: &Guest) {
    let cdp = guest.running().await.cdp;
    let opened = async {
        while evaluate(&cdp, "document.title").await != json!("start page") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, opened).await.expect("the start page did not open");
    assert_eq!(cdp.pages().await.unwrap().len(), 1);
}

async fn language_and_screen(guest: &Guest) {
    let cdp = guest.running().await.cdp;
    let seen = evaluate(
        &cdp,
        "({locale: Intl.DateTimeFormat().resolvedOptions().locale,
           width: innerWidth,
           fills: screen.width === outerWidth && screen.height === outerHeight})",
    )
    .await;
    assert_eq!(
        seen,
        json!({
            "locale": "fr",
            "width": 1280, "fills": true,
        })
    );
}

async fn own_sandbox(guest: &Guest) {
    let cdp = guest.running().await.cdp;
    go(&cdp, "chrome://sandbox").await;
    let text = evaluate(&cdp, "document.getElementById('evaluation').innerText").await;
    let text = text.as_str().unwrap_or_default().to_owned();
    assert_eq!(text, "You are adequately sandboxed.");
    go(&cdp, "about:blank").await;
}

async fn the_socket_hands_out_connections(guest: &Guest, handoff: &std::path::Path) {
    let running = guest.running().await;
    for _ in 0..3 {
        let (reply, socket) =
            request_descriptor(handoff.to_owned(), HandoffRequest::Cdp as u8).await;
        assert!(reply.ok, "{reply:?}");
        assert_eq!(reply.browser_path, running.endpoint.browser_path);
        let (status, version) = get(socket.unwrap(), &reply.host, "/json/version").await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        let url = version["webSocketDebuggerUrl"].as_str().unwrap();
        assert_eq!(url, format!("ws://{}{}", reply.host, reply.browser_path));
    }
    let (reply, socket) = request_descriptor(handoff.to_owned(), b'?').await;
    assert!(!reply.ok && socket.is_none() && !reply.error.is_empty(), "{reply:?}");

    let rounds = 20;
    let begin = std::time::Instant::now();
    for _ in 0..rounds {
        assert!(request_descriptor(handoff.to_owned(), HandoffRequest::Cdp as u8).await.0.ok);
    }
    eprintln!("the socket takes {:?} a socket", begin.elapsed() / rounds);
}

async fn bidi(guest: &Guest) {
    let port = guest.webdriver().await;
    let request = http::Request::get(format!("ws://127.0.0.1:{port}/webdriver/session"))
        .header("host", format!("127.0.0.1:{port}"))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("origin", "https://elsewhere.example")
        .header("x-browserd-webdriver-url", "wss://b.example/webdriver/session?jwt=j")
        .body(())
        .unwrap();
    let (mut client, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let mut id = 0;
    let mut call = async |method: &str, params: Value| -> Value {
        id += 1;
        let command = json!({"id": id, "method": method, "params": params});
        client.send(Message::text(command.to_string())).await.unwrap();
        loop {
            let message = client.next().await.unwrap().unwrap();
            let message: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
            if message["id"] == id || message["id"].is_null() && message["type"] == "error" {
                return message;
            }
        }
    };
    let wrong = call("session.new", json!({"capabilities": []})).await;
    assert_eq!(wrong["error"], "session not created", "{wrong}");
    let capabilities = json!({"alwaysMatch": {"goog:chromeOptions": {"binary": "/bin/false"}}});
    let created = call("session.new", json!({"capabilities": capabilities})).await;
    assert_eq!(created["type"], "success", "{created}");
    let session = created["result"]["sessionId"].as_str().unwrap();
    assert_eq!(
        created["result"]["capabilities"]["webSocketUrl"],
        format!("wss://b.example/webdriver/session/{session}?jwt=j")
    );
    let tree = call("browsingContext.getTree", json!({})).await;
    let context = tree["result"]["contexts"][0]["context"].clone();
    let url = "data:text/html,<title>over bidi</title>";
    let navigate = json!({"context": context, "url": url, "wait": "complete"});
    assert_eq!(call("browsingContext.navigate", navigate).await["type"], "success");
    let evaluate_ = json!({
        "expression": "document.title", "target": {"context": context}, "awaitPromise": true,
    });
    let title = call("script.evaluate", evaluate_).await;
    assert_eq!(title["result"]["result"]["value"], "over bidi", "{title}");
    // It was the session's own Chromium all along.
    let cdp = guest.running().await.cdp;
    assert_eq!(evaluate(&cdp, "document.title").await, "over bidi");
    assert_eq!(call("session.end", json!({})).await["type"], "success");
    match tokio::time::timeout(PATIENCE, client.next()).await.expect("no close frame") {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 1000),
        other => panic!("{other:?}"),
    }
    let chromiums = descendants().into_iter().filter(|(_, line)| line.contains("--user-data-dir="));
    let browsers = chromiums.filter(|(_, line)| !line.contains("--type=")).count();
    assert_eq!(browsers, 1, "the driver started a browser of its own");
    assert_eq!(cdp.pages().await.unwrap().len(), 1);
}

async fn crash(guest: &mut Guest, handoff: &std::path::Path) {
    let before = guest.running().await;
    let (pid, _) = descendants()
        .into_iter()
        .find(|(_, line)| line.contains("--remote-debugging-pipe") && !line.contains("--type="))
        .expect("Chromium runs");
    // The profile outlives the crash.
    let marker = guest.session.places.user_data.join("Local State");
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let begin = std::time::Instant::now();
    match guest.report().await {
        GuestReport::BrowserLost { detail } => assert!(detail.contains("signal 9"), "{detail}"),
        other => panic!("{other:?}"),
    }
    eprintln!("loss reported after {:?}", begin.elapsed());
    // Asked meanwhile, the socket waits for the new one.
    let (reply, socket) = request_descriptor(handoff.to_owned(), HandoffRequest::Cdp as u8).await;
    assert!(reply.ok, "{reply:?}");
    assert_ne!(reply.browser_path, before.endpoint.browser_path);
    let (_, version) = get(socket.unwrap(), &reply.host, "/json/version").await;
    assert!(version["Browser"].as_str().unwrap().starts_with("Chrome/"));
    assert_eq!(guest.report().await, GuestReport::BrowserBack);
    eprintln!("back after {:?}", begin.elapsed());
    let after = guest.running().await;
    assert_eq!(after.generation, before.generation + 1);
    assert!(marker.exists());
    let pages = after.cdp.pages().await.unwrap();
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].url, "about:blank");
    let log = guest.log("guest.log");
    assert!(log.contains("chromium was killed by signal 9; restarting it"), "{log}");
    assert!(log.contains("chromium is back"), "{log}");
    assert!(guest.log("chromium.log").contains("DevTools listening"));
}

async fn nothing_is_left(guest: Guest) {
    guest.browser.stop().await;
    assert!(guest.browser.running().await.is_err());
    // What Chromium's processes left behind comes to this process, to be reaped.
    let gone = async {
        while !descendants().is_empty() {
            guest.session.children.reaped().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, gone).await;
    assert!(waited.is_ok(), "still there: {:?}", descendants());
}
