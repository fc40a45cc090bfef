//! CDP: sockets and discovery.

use std::sync::atomic::Ordering;
use std::time::Duration;

use browserd_api::browser::EndReason;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Socket, close_frame};
use crate::fixture::{Fixture, KEY, id, token};

async fn text(socket: &mut Socket) -> String {
    socket.next().await.unwrap().unwrap().to_text().unwrap().to_owned()
}

#[tokio::test]
async fn sockets_reach_the_endpoint_they_ask_for() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let jwt = token(&session);
    let browser = "/devtools/browser/11111111-2222-3333-4444-555555555555";
    for (path, endpoint) in [
        ("/browser/cdp".to_owned(), browser),
        ("/browser/cdp/".to_owned(), browser),
        (format!("/browser/cdp{browser}"), browser),
        (browser.to_owned(), browser),
        ("/devtools/browser".to_owned(), browser),
        ("/browser/cdp/devtools/page/A1".to_owned(), "/devtools/page/A1"),
        ("/devtools/page/A1".to_owned(), "/devtools/page/A1"),
        ("/devtools/page/..%2F..%2Fjson".to_owned(), "/devtools/page/%2E%2E%2F%2E%2E%2Fjson"),
    ] {
        let mut socket =
            fixture.client.websocket(&format!("{path}?jwt={jwt}"), None).await.unwrap();
        assert_eq!(text(&mut socket).await, endpoint, "{path}");
        socket.send(Message::text("hello")).await.unwrap();
        assert_eq!(text(&mut socket).await, "hello");
    }
    let heads = fixture.runtime.chromium.heads.lock().clone();
    assert!(
        heads.iter().all(|head| !head.contains(&jwt) && !head.to_lowercase().contains("origin"))
    );
    let head = &heads[0];
    assert!(head.contains(&format!("Host: 127.0.0.1:{}", fixture.runtime.chromium.port)), "{head}");
}

#[tokio::test]
async fn messages_have_no_limit_of_ours() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let path = format!("/browser/cdp?jwt={}", token(&session));
    let mut socket = fixture.client.websocket(&path, None).await.unwrap();
    text(&mut socket).await;
    let large = Message::binary((0..12_000_000_u32).map(|n| n as u8).collect::<Vec<u8>>());
    socket.send(large.clone()).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap() == large);
    socket.send(Message::text("flood:9000000")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().len(), 9_000_000);
}

#[tokio::test]
async fn what_is_no_socket_or_has_no_token_is_refused() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let jwt = token(&session);
    let plain = fixture.client.call("GET", &format!("/browser/cdp?jwt={jwt}"), None, None).await;
    assert_eq!((plain.status, plain.code().as_str()), (426, "upgrade_required"));
    for path in ["/browser/cdp", "/browser/cdp?jwt=a.b.c", "/devtools/page/A1?jwt="] {
        assert_eq!(fixture.client.websocket(path, Some(KEY)).await.err(), Some(401), "{path}");
    }
    let missing = format!("/devtools/page/missing?jwt={jwt}");
    assert_eq!(fixture.client.websocket(&missing, None).await.err(), Some(404));
}

#[tokio::test]
async fn a_session_that_ends_sends_a_close_frame_with_its_reason() {
    let fixture = Fixture::start().await;
    for (reason, code, word) in [
        (EndReason::TimedOut, 1001, "timed_out"),
        (EndReason::OutOfMemory, 1011, "out_of_memory"),
        (EndReason::Crashed, 1011, "crashed"),
    ] {
        let session = fixture.session().await;
        let path = format!("/browser/cdp?jwt={}", token(&session));
        let mut socket = fixture.client.websocket(&path, None).await.unwrap();
        text(&mut socket).await;
        fixture.runtime.lose(&id(&session), reason).await;
        let (got, why) = close_frame(&mut socket).await;
        assert_eq!(got, code);
        assert!(why.starts_with(word), "{why}");
        assert_eq!(fixture.client.websocket(&path, None).await.err(), Some(404));
    }
}

#[tokio::test]
async fn a_crash_of_chromium_is_a_restart_for_clients() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let path = format!("/browser/cdp?jwt={}", token(&session));
    let mut socket = fixture.client.websocket(&path, None).await.unwrap();
    text(&mut socket).await;
    fixture.runtime.chromium.crash();
    let (code, reason) = close_frame(&mut socket).await;
    assert_eq!(code, 1012);
    assert!(reason.starts_with("browser restarting"), "{reason}");
    let mut again = fixture.client.websocket(&path, None).await.unwrap();
    assert!(text(&mut again).await.starts_with("/devtools/browser/"), "the same URL works again");
}

#[tokio::test]
async fn in_the_middle_of_a_frame_there_is_no_close_frame() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let path = format!("/browser/cdp?jwt={}", token(&session));
    let mut socket = fixture.client.websocket(&path, None).await.unwrap();
    text(&mut socket).await;
    socket.send(Message::text("half")).await.unwrap();
    // A ping answered would be a frame in a frame; instead wait until the half frame is here.
    let mut peeked = [0; 7];
    let tokio_tungstenite::MaybeTlsStream::Plain(stream) = socket.get_ref() else { unreachable!() };
    while stream.peek(&mut peeked).await.unwrap() < 7 {}
    fixture.runtime.lose(&id(&session), EndReason::Crashed).await;
    let end = socket.next().await;
    assert!(!matches!(end, Some(Ok(_))), "the connection just ends: {end:?}");
}

#[tokio::test]
async fn a_client_that_leaves_closes_its_socket_inside() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let path = format!("/browser/cdp?jwt={}", token(&session));
    let mut socket = fixture.client.websocket(&path, None).await.unwrap();
    text(&mut socket).await;
    drop(socket);
    let mut left = fixture.runtime.chromium.left.lock().await;
    tokio::time::timeout(Duration::from_secs(5), left.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutting_down_sends_close_frames_and_ends() {
    let mut fixture = Fixture::start().await;
    let session = fixture.session().await;
    let path = format!("/browser/cdp?jwt={}", token(&session));
    let mut socket = fixture.client.websocket(&path, None).await.unwrap();
    text(&mut socket).await;
    let last = tokio::spawn(async move { close_frame(&mut socket).await });
    tokio::time::timeout(Duration::from_secs(8), fixture.shut_down()).await.unwrap();
    let (code, reason) = last.await.unwrap();
    assert_eq!(code, 1001);
    assert!(reason.starts_with("server_shutdown"), "{reason}");
    assert!(fixture.fleet.active().is_empty());
}

#[tokio::test]
async fn discovery_has_our_urls() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let jwt = token(&session);
    let host = fixture.client.address;
    let call = async |method: &str, path: &str| {
        fixture
            .client
            .call(
                method,
                &format!("{path}{}jwt={jwt}", if path.contains('?') { '&' } else { '?' }),
                None,
                None,
            )
            .await
    };
    for prefix in ["", "/browser/cdp"] {
        for slash in ["", "/"] {
            let version = call("GET", &format!("{prefix}/json/version{slash}")).await;
            assert_eq!(version.status, 200, "{}", version.text());
            assert_eq!(
                version.json()["webSocketDebuggerUrl"],
                format!(
                    "ws://{host}/browser/cdp/devtools/browser/11111111-2222-3333-4444-555555555555?jwt={jwt}"
                )
            );
            for path in ["/json", "/json/list"] {
                let list = call("GET", &format!("{prefix}{path}{slash}")).await.json();
                assert_eq!(
                    list[0]["webSocketDebuggerUrl"],
                    format!("ws://{host}/browser/cdp/devtools/page/A1?jwt={jwt}")
                );
            }
        }
        assert_eq!(
            call("GET", &format!("{prefix}/json/protocol")).await.text(),
            r#"{"domains":[]}"#
        );
        assert_eq!(
            call("GET", &format!("{prefix}/json/activate/A1")).await.text(),
            "Target activated"
        );
        assert_eq!(
            call("GET", &format!("{prefix}/json/close/A1")).await.text(),
            "Target is closing"
        );
        let gone = call("GET", &format!("{prefix}/json/close/B2")).await;
        assert_eq!((gone.status, gone.code().as_str()), (404, "not_found"));
        let new = call("PUT", &format!("{prefix}/json/new?https://a.example/?b=c")).await;
        assert_eq!(new.json()["url"], "/json/new?https://a.example/?b=c");
        assert_eq!(call("GET", &format!("{prefix}/json/new")).await.status, 405);
        assert_eq!(
            fixture
                .client
                .call("GET", &format!("{prefix}/json/version"), Some(KEY), None)
                .await
                .status,
            401
        );
    }
    // The URL of a page leads to that page.
    let list = call("GET", "/json/list").await.json();
    let url = list[0]["webSocketDebuggerUrl"].as_str().unwrap();
    let path = url.strip_prefix(&format!("ws://{host}")).unwrap();
    let mut socket = fixture.client.websocket(path, None).await.unwrap();
    assert_eq!(text(&mut socket).await, "/devtools/page/A1");
}

#[tokio::test]
async fn a_hostile_chromium_is_502() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let jwt = token(&session);
    let endless = [b"HTTP/1.1 101 x\r\na: ".to_vec(), vec![b'a'; 100_000]].concat();
    let long =
        [b"HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n".to_vec(), vec![b' '; 17 << 20]]
            .concat();
    for raw in [
        b"nonsense\r\n\r\n".to_vec(),
        endless,
        b"HTTP/1.1 503 Oops\r\nContent-Length: 0\r\n\r\n".to_vec(),
    ] {
        *fixture.runtime.chromium.raw.lock() = Some(raw);
        assert_eq!(
            fixture.client.websocket(&format!("/browser/cdp?jwt={jwt}"), None).await.err(),
            Some(502)
        );
        let answer =
            fixture.client.call("GET", &format!("/json/version?jwt={jwt}"), None, None).await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_unavailable"));
    }
    for raw in [long, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":[1,2".to_vec()] {
        *fixture.runtime.chromium.raw.lock() = Some(raw);
        let answer =
            fixture.client.call("GET", &format!("/json/version?jwt={jwt}"), None, None).await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_unavailable"));
    }
}

#[tokio::test]
async fn a_tunnel_is_one_of_the_connections_that_may_be_open() {
    let fixture = Fixture::with(10, |config| config.connections = 3).await;
    let session = fixture.session().await;
    let path = format!("/browser/cdp?jwt={}", token(&session));
    let mut sockets = Vec::new();
    // The third is the one that made the session, which the client keeps.
    for _ in 0..2 {
        let mut socket = fixture.client.websocket(&path, None).await.unwrap();
        text(&mut socket).await;
        sockets.push(socket);
    }
    let mut third = TcpStream::connect(fixture.client.address).await.unwrap();
    let ask = b"GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    third.write_all(ask).await.unwrap();
    // Time enough to answer it.
    for _ in 0..50 {
        for socket in &mut sockets {
            socket.send(Message::text("hello")).await.unwrap();
            assert_eq!(text(socket).await, "hello");
        }
    }
    let early = third.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock, "it waits for a slot");
    drop(sockets.pop());
    let mut answer = String::new();
    third.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

/// A session that is dead may take a while to say why, and does not come back.
#[tokio::test]
async fn a_dead_session_is_not_said_to_be_restarting() {
    let fixture = Fixture::start().await;
    let session = fixture.session().await;
    let id = id(&session);
    let path = format!("/browser/cdp?jwt={}", token(&session));
    let mut socket = fixture.client.websocket(&path, None).await.unwrap();
    text(&mut socket).await;
    fixture.runtime.kill_guest(&id);
    let dials = fixture.runtime.dials.load(Ordering::SeqCst);
    fixture.runtime.chromium.crash();
    // It has waited for a reason, and looks now whether anybody is there.
    while fixture.runtime.dials.load(Ordering::SeqCst) == dials {
        tokio::task::yield_now().await;
    }
    fixture.runtime.lose(&id, EndReason::Crashed).await;
    let (code, why) = close_frame(&mut socket).await;
    assert!(code == 1011 && why.starts_with("crashed"), "{code} {why}");
}
