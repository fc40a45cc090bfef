//! Requests for guests.

use std::time::Duration;

use axum::body::Body;
use browserd_api::browser::EndReason;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use crate::client::close_frame;
use crate::fixture::{Fixture, KEY, id, token};

/// What the guest saw of a request.
fn seen<'a>(answer: &'a Value, header: &str) -> Option<&'a str> {
    answer["headers"][header].as_str()
}

#[tokio::test]
async fn both_ways_lead_to_the_guest_and_secrets_stay_here() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let (session_id, jwt) = (id(&session), token(&session));
    for (path, target) in [
        (format!("/browsers/{session_id}/process/exec?a=1&b=%2F"), "/process/exec?a=1&b=%2F"),
        (format!("/browser/kernel/process/exec?a=1&jwt={jwt}&b=%2F"), "/process/exec?a=1&b=%2F"),
        (format!("/browser/kernel/process/exec?jwt={jwt}"), "/process/exec"),
    ] {
        let request = Request::post(fixture.client.url(&path))
            .header("authorization", format!("Bearer {KEY}"))
            .header("cookie", "a=b")
            .header("x-forwarded-for", "1.2.3.4")
            .header("x-stainless-lang", "python")
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("x-request-id", "r-1")
            .header("content-type", "application/json")
            .body(Body::from(r#"{"command":"true"}"#))
            .unwrap();
        let answer = fixture.client.exchange(request).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("content-security-policy").starts_with("sandbox"));
        assert_eq!(answer.header("x-request-id"), "r-1");
        let answer = answer.json();
        assert_eq!(answer["target"], target);
        assert_eq!(answer["body"], r#"{"command":"true"}"#);
        assert_eq!(seen(&answer, "x-request-id"), Some("r-1"));
        assert_eq!(seen(&answer, "content-type"), Some("application/json"));
        let text = answer.to_string();
        for secret in [KEY, "a=b", "1.2.3.4", "python", "x-hop", &jwt] {
            assert!(!text.contains(secret), "{secret} reached the guest");
        }
    }
}

#[tokio::test]
async fn foreign_tokens_are_refused_alike() {
    let fixture = Fixture::start().await;
    let (one, two) = (fixture.session().await, fixture.session().await);
    let jwt = token(&one);
    fixture.delete(&format!("/browsers/{}", id(&two))).await;
    let dead = token(&two);
    let mut parts: Vec<&str> = jwt.split('.').collect();
    parts[1] = dead.split('.').nth(1).unwrap();
    let mixed = parts.join(".");
    let mut bodies = Vec::new();
    let over = format!("/browser/kernel/process?jwt={dead}");
    let over = fixture.client.call("GET", &over, None, None).await;
    assert_eq!((over.status, over.code().as_str()), (404, "browser_not_found"));
    assert!(over.text().contains(": deleted; create another"), "{}", over.text());
    for jwt in ["", "x", "a.b.c", &mixed, &jwt[..jwt.len() - 2]] {
        let answer = fixture
            .client
            .call("GET", &format!("/browser/kernel/process?jwt={jwt}"), Some(KEY), None)
            .await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"), "{jwt}");
        bodies.push(answer.text());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(
        fixture
            .client
            .call("GET", &format!("/browser/kernel/process?jwt={jwt}"), None, None)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn what_a_guest_says_in_our_name_does_not_cross() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let answer = fixture.get(&format!("/browsers/{}/process/x/status", id(&session))).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.text(), "<script>alert(1)</script>");
    for name in ["set-cookie", "location", "server", "access-control-allow-origin"] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    assert!(answer.header("content-security-policy").starts_with("sandbox"));
}

#[tokio::test]
async fn large_bodies_stream_both_ways() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let chunks = futures_util::stream::iter(
        (0..800).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 40_000]))),
    );
    let request =
        Request::post(fixture.client.url(&format!("/browsers/{}/process/exec", id(&session))))
            .header("authorization", format!("Bearer {KEY}"))
            .body(Body::from_stream(chunks))
            .unwrap();
    assert_eq!(fixture.client.exchange(request).await.json()["length"], 32_000_000);
}

#[tokio::test]
async fn events_arrive_as_they_are_sent_and_end_with_the_session() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let path = format!("/browser/kernel/process/x/stdout/stream?jwt={}", token(&session));
    let mut answer = fixture
        .client
        .send(Request::get(fixture.client.url(&path)).body(Body::empty()).unwrap())
        .await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let frame = answer.body_mut().frame().await.unwrap().unwrap();
    assert!(frame.into_data().unwrap().starts_with(b"data: "));
    fixture.delete(&format!("/browsers/{}", id(&session))).await;
    let end =
        tokio::time::timeout(Duration::from_secs(5), answer.body_mut().frame()).await.unwrap();
    assert!(end.unwrap().is_err(), "cut short, so that nobody takes it for whole");
}

/// A guest that hands each connection's first bytes to the test and answers with fixed bytes.
fn raw_guest(
    answers: Vec<Vec<u8>>,
    seen: mpsc::UnboundedSender<&'static str>,
) -> impl FnOnce(UnixListener) -> JoinHandle<()> {
    move |listener| {
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let seen = seen.clone();
                tokio::spawn(async move {
                    let mut buffer = vec![0; 65536];
                    let _ = stream.read(&mut buffer).await;
                    let _ = seen.send("request");
                    let _ = stream.write_all(&answer).await;
                    // Until the other side hangs up.
                    while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
                    let _ = seen.send("closed");
                });
            }
            std::future::pending::<()>().await;
        })
    }
}

/// A guest that offers a file, and the head of the client's request as it saw it.
fn offering(
    offer: &str,
    sender: mpsc::UnboundedSender<String>,
) -> impl FnOnce(UnixListener) -> JoinHandle<()> {
    let answer = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: 0\r\nContent-Type: application/octet-stream\r\n\
         ETag: \"e\"\r\nX-Browserd-File: {offer}\r\n\r\n"
    );
    move |listener| {
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 65536];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    let _ = sender.send(String::from_utf8_lossy(&buffer[..read]).to_lowercase());
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        })
    }
}

/// A file of `length` bytes, each of which says where it is.
fn numbered(length: usize) -> (std::fs::File, Vec<u8>) {
    let content: Vec<u8> = (0..length).map(|at| (at / 9 % 251) as u8).collect();
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &content).unwrap();
    (file, content)
}

#[tokio::test]
async fn a_file_the_guest_offers_is_sent_from_here() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let path = format!("/browsers/{}/fs/read_file?path=/f", id(&session));
    let (sender, mut seen) = mpsc::unbounded_channel();
    fixture.runtime.replace_guest(&id(&session), offering("7 5 3000005", sender));
    let (file, content) = numbered(4_000_000);
    *fixture.runtime.offered.lock() = Some((7, file));
    let answer = fixture.get(&path).await;
    assert_eq!((answer.status, answer.header("content-length")), (206, "3000000"));
    assert_eq!(answer.header("etag"), "\"e\"");
    assert!(!answer.headers.contains_key("x-browserd-file"));
    assert!(answer.header("content-security-policy").starts_with("sandbox"));
    assert!(answer.body == content[5..3_000_005]);
    assert!(seen.recv().await.unwrap().contains("x-browserd-file: take"));

    // What is not there, and a file that ends before what was promised of it.
    let answer = fixture.get(&path).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_unavailable"));
    *fixture.runtime.offered.lock() = Some((7, numbered(10).0));
    let request = Request::get(fixture.client.url(&path))
        .header("authorization", format!("Bearer {KEY}"))
        .body(Body::empty())
        .unwrap();
    // The connection is cut, perhaps before the head is out.
    if let Ok(broken) = fixture.client.try_send(request).await {
        assert!(broken.into_body().collect().await.is_err());
    }
}

#[tokio::test]
async fn a_file_is_offered_only_in_the_guests_own_voice() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let (sender, mut seen) = mpsc::unbounded_channel();
    fixture.runtime.replace_guest(&id(&session), offering("7 0 3", sender));
    *fixture.runtime.offered.lock() = Some((7, numbered(10).0));
    let raw = format!("/browsers/{}/curl/raw?url=http://a.example", id(&session));
    let answer = fixture.get(&raw).await;
    assert_eq!((answer.status, answer.text()), (206, String::new()));
    assert!(!seen.recv().await.unwrap().contains("x-browserd-file"));
    let posted =
        fixture.post(&format!("/browsers/{}/process/exec", id(&session)), &json!({})).await;
    assert_eq!((posted.status, posted.text()), (206, String::new()));
    assert!(!seen.recv().await.unwrap().contains("x-browserd-file"));
    assert!(fixture.runtime.offered.lock().is_some(), "nobody asked for it");
}

#[tokio::test]
async fn a_file_is_let_go_with_its_session() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let (sender, _seen) = mpsc::unbounded_channel();
    fixture.runtime.replace_guest(&id(&session), offering("7 0 900000000", sender));
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(900_000_000).unwrap();
    *fixture.runtime.offered.lock() = Some((7, std::fs::File::open(file.path()).unwrap()));
    let request = Request::get(
        fixture.client.url(&format!("/browsers/{}/fs/read_file?path=/f", id(&session))),
    )
    .header("authorization", format!("Bearer {KEY}"))
    .body(Body::empty())
    .unwrap();
    // A client that reads nothing any more.
    let mut answer = fixture.client.send(request).await;
    answer.body_mut().frame().await.unwrap().unwrap();
    let holders = || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = all.filter_map(|fd| std::fs::read_link(fd.path()).ok());
        targets.filter(|target| target == file.path()).count()
    };
    // The test is one.
    assert_eq!(holders(), 2);
    fixture.delete(&format!("/browsers/{}", id(&session))).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while holders() > 1 {
        assert!(tokio::time::Instant::now() < deadline, "the file is still open");
        tokio::task::yield_now().await;
    }
    assert!(answer.body_mut().collect().await.is_err(), "cut short");
}

#[tokio::test]
async fn hostile_answers_are_refused() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let path = format!("/browsers/{}/process", id(&session));
    let endless = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'a'; 300_000]].concat();
    let many =
        [b"HTTP/1.1 200 OK\r\n".to_vec(), b"a: b\r\n".repeat(500), b"\r\n".to_vec()].concat();
    let answers = [
        b"SSH-2.0-nothing\r\n\r\n".to_vec(),
        endless,
        many,
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nhello".to_vec(),
    ];
    for answer in answers {
        let (sender, _receiver) = mpsc::unbounded_channel();
        fixture.runtime.replace_guest(&id(&session), raw_guest(vec![answer.clone()], sender));
        let got = fixture.get(&path).await;
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
        assert_eq!((got.status, got.code().as_str()), (502, "upstream_unavailable"), "{shown}");
        assert_eq!(got.header("x-should-retry"), "true");
    }
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let (sender, mut events) = mpsc::unbounded_channel();
    fixture.runtime.replace_guest(&id(&session), raw_guest(vec![Vec::new()], sender));
    let path = format!("/browsers/{}/process/exec", id(&session));
    let request = {
        let client = fixture.client.clone();
        tokio::spawn(
            async move { client.call("POST", &path, Some(KEY), Some(&json!({}))).await.status },
        )
    };
    assert_eq!(events.recv().await, Some("request"));
    request.abort();
    let closed = tokio::time::timeout(Duration::from_secs(5), events.recv()).await;
    assert_eq!(closed.unwrap(), Some("closed"), "the guest hears of it");
}

#[tokio::test]
async fn a_dead_guest_is_502_and_an_ended_session_404() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let path = format!("/browsers/{}/process", id(&session));
    fixture.runtime.kill_guest(&id(&session));
    let answer = fixture.get(&path).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_unavailable"));

    let (sender, mut events) = mpsc::unbounded_channel();
    fixture.runtime.replace_guest(&id(&session), raw_guest(vec![Vec::new()], sender));
    let waiting = {
        let (client, path) = (fixture.client.clone(), path.clone());
        tokio::spawn(async move { client.call("GET", &path, Some(KEY), None).await })
    };
    assert_eq!(events.recv().await, Some("request"));
    fixture.runtime.lose(&id(&session), EndReason::OutOfMemory).await;
    let answer = waiting.await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (404, "browser_not_found"));
}

#[tokio::test]
async fn connections_to_a_guest_are_reused_and_replaced_when_stale() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let path = format!("/browsers/{}/process", id(&session));
    let (sender, mut events) = mpsc::unbounded_channel();
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
        .to_vec();
    let serve = move |listener: UnixListener| {
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = sender.send("connection");
                let mut buffer = vec![0; 65536];
                // Two requests a connection, then it is closed without a word.
                for _ in 0..2 {
                    if matches!(stream.read(&mut buffer).await, Ok(1..)) {
                        stream.write_all(&ok).await.unwrap();
                    }
                }
            }
        })
    };
    fixture.runtime.replace_guest(&id(&session), serve);
    for _ in 0..6 {
        assert_eq!(fixture.get(&path).await.status, 200);
    }
    let mut connections = 0;
    while events.try_recv().is_ok() {
        connections += 1;
    }
    assert_eq!(connections, 3);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_sent_twice() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
        .to_vec();
    let serve = move |listener: UnixListener| {
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 65536];
                // One answer a connection; the next request is read and never answered.
                if matches!(stream.read(&mut buffer).await, Ok(1..)) {
                    stream.write_all(&ok).await.unwrap();
                    let _ = stream.read(&mut buffer).await;
                }
            }
        })
    };
    fixture.runtime.replace_guest(&id(&session), serve);
    let base = format!("/browsers/{}/process", id(&session));
    // A request that changes nothing is sent again on another connection.
    assert_eq!(fixture.get(&base).await.status, 200);
    assert_eq!(fixture.get(&base).await.status, 200);
    let answer = fixture.post(&format!("{base}/exec"), &json!({"command": "true"})).await;
    assert_eq!((answer.status, answer.code().as_str()), (502, "outcome_unknown"));
    assert_eq!(answer.header("x-should-retry"), "false");
}

#[tokio::test]
async fn attach_is_a_websocket_and_ends_with_a_close_frame() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let by_key = format!("/browsers/{}/process/x/attach", id(&session));
    let by_token = format!("/browser/kernel/process/x/attach?jwt={}", token(&session));
    let mut sockets = Vec::new();
    for (path, key) in [(&by_key, Some(KEY)), (&by_token, None)] {
        let mut socket = fixture.client.websocket(path, key).await.unwrap();
        socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::binary(vec![1, 2, 3]));
        sockets.push(socket);
    }
    assert_eq!(fixture.client.websocket(&by_key, None).await.err(), Some(401));
    fixture.delete(&format!("/browsers/{}", id(&session))).await;
    for socket in &mut sockets {
        let (code, reason) = close_frame(socket).await;
        assert_eq!(code, 1001);
        assert!(reason.starts_with("deleted"), "{reason}");
    }
}

#[tokio::test]
async fn webdriver_goes_to_the_guest_with_its_url() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let path = format!("/browser/webdriver/session?jwt={}", token(&session));
    let mut socket = fixture.client.websocket(&path, None).await.unwrap();
    let url = socket.next().await.unwrap().unwrap();
    assert_eq!(url.to_text().unwrap(), session["webdriver_ws_url"].as_str().unwrap());
    socket.send(Message::text("bye")).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Close(_)))));

    let plain = fixture.client.call("GET", &path, None, None).await;
    assert_eq!((plain.status, plain.code().as_str()), (426, "upgrade_required"));
    let other = format!("/browser/webdriver/status?jwt={}", token(&session));
    assert_eq!(
        fixture.client.call("GET", &other, None, None).await.json()["target"],
        "/webdriver/status"
    );
    assert_eq!(
        fixture.client.websocket("/browser/webdriver/session?jwt=a.b.c", None).await.err(),
        Some(401)
    );
}

/// A guest that takes requests and answers none, and tells of each.
fn silent(fixture: &Fixture, session: &str) -> mpsc::UnboundedReceiver<()> {
    let (asked, asks) = mpsc::unbounded_channel();
    fixture.runtime.replace_guest(session, |listener| {
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.readable().await.unwrap();
                held.push(stream);
                let _ = asked.send(());
            }
        })
    });
    asks
}

#[tokio::test]
async fn a_client_hears_something_before_it_stops_waiting() {
    let fixture = Fixture::start().await;
    let session = id(&fixture.session().await);
    let _asks = silent(&fixture, &session);
    for name in ["x-stainless-read-timeout", "x-stainless-timeout"] {
        let request =
            Request::post(fixture.client.url(&format!("/browsers/{session}/process/exec")))
                .header("authorization", format!("Bearer {KEY}"))
                .header(name, "0.2")
                .body(Body::from("{}"))
                .unwrap();
        let answer = fixture.client.exchange(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (408, "timeout"), "{}", answer.text());
        assert_eq!(answer.header("x-should-retry"), "false");
        assert!(answer.text().contains(name), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_request_under_way_when_the_server_stops_is_told_so() {
    let mut fixture = Fixture::start().await;
    let session = id(&fixture.session().await);
    let mut asks = silent(&fixture, &session);
    let client = fixture.client.clone();
    let path = format!("/browsers/{session}/process/exec");
    let asking =
        tokio::spawn(async move { client.call("POST", &path, Some(KEY), Some(&json!({}))).await });
    asks.recv().await.unwrap();
    fixture.shut_down().await;
    let answer = asking.await.unwrap();
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (503, "shutting_down"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_body_that_is_too_large_is_told_how_large_it_may_be() {
    let fixture = Fixture::with(10, |config| config.json_body_limit = 1234).await;
    let body = json!({ "name": "x".repeat(2000) });
    let answer = fixture.post("/profiles", &body).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "payload_too_large"));
    assert!(answer.text().contains("1234 bytes"), "{}", answer.text());
}
