//! Clients that do not keep to the protocol.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use browserd_egress::Limits;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stage::{PATIENCE, PUBLIC, Stage, echo, mirror};

#[tokio::test]
async fn a_slow_head_is_cut() {
    let limits = Limits { head_read: Duration::from_millis(100), ..Limits::default() };
    let stage = Stage::with_limits(&[], limits).await;
    let mut client = stage.client().await;
    client.send("GET http://a.test/ HTTP/1.1\r\nX-Slow: ").await;
    // Whatever comes, comes at the end: the connection does not stay.
    client.rest().await;
    let mut silent = stage.client().await;
    assert_eq!(silent.rest().await, "");
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let stage = Stage::new(&[]).await;
    let mut client = stage.client().await;
    let huge = format!("GET http://a.test/ HTTP/1.1\r\nX-Huge: {}\r\n\r\n", "x".repeat(300 * 1024));
    // The gateway may close before it has read everything.
    client.stream.write_all(huge.as_bytes()).await.ok();
    let answer = client.rest().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(stage.lookups().is_empty());
}

#[tokio::test]
async fn requests_for_the_gateway_itself_get_advice() {
    let stage = Stage::new(&["127.0.0.1"]).await;
    for request in
        ["GET / HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"]
    {
        let reply = stage.request(request).await;
        assert_eq!(reply.refusal(), (400, "bad_request".to_owned()), "{request}");
        assert!(reply.body.contains("proxy"), "{reply:?}");
    }
    for url in ["https://a.test/", "ftp://a.test/", "ws://a.test/"] {
        let reply = stage.request(&format!("GET {url} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await;
        assert_eq!(reply.refusal(), (400, "bad_request".to_owned()), "{url}");
    }
    let trace = stage.request("TRACE http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
    assert_eq!(trace.refusal(), (405, "method_not_allowed".to_owned()));
    assert!(stage.dialled().is_empty());
}

#[tokio::test]
async fn the_gateway_is_not_its_own_origin() {
    // Reached through itself it is one more origin that says what it is; nothing loops.
    let stage = Stage::new(&["127.0.0.1"]).await;
    let at = stage.addr.to_string();
    stage.route(&at, stage.addr);
    let reply = stage.request(&format!("GET http://{at}/ HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert_eq!(reply.status, 400);
    assert_eq!(stage.dialled(), [at]);
}

#[tokio::test]
async fn too_many_connections_are_told_so_and_recover() {
    let limits = Limits { connections: 2, turned_away: 1, ..Limits::default() };
    let stage = Stage::with_limits(&[], limits).await;
    stage.route(&format!("{PUBLIC}:80"), echo().await);
    let to = format!("{PUBLIC}:80");
    let first = stage.tunnel(&to).await;
    let _second = stage.tunnel(&to).await;
    for _ in 0..3 {
        let reply = stage.request(&format!("CONNECT {to} HTTP/1.1\r\n\r\n")).await;
        assert_eq!(reply.refusal(), (503, "proxy_unavailable".to_owned()));
    }
    drop(first);
    tokio::time::timeout(PATIENCE, async {
        loop {
            let reply = stage.request(&format!("CONNECT {to} HTTP/1.1\r\n\r\n")).await;
            if reply.status == 200 {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("a connection becomes free");
}

#[tokio::test]
async fn smuggled_framing_becomes_one_request_or_none() {
    let stage = Stage::new(&[]).await;
    stage.route(&format!("{PUBLIC}:80"), mirror().await);
    for headers in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length : 5\r\n",
    ] {
        let mut client = stage.client().await;
        let request = format!(
            "POST http://{PUBLIC}/ HTTP/1.1\r\nHost: x\r\n{headers}\r\n0\r\n\r\nGET http://{PUBLIC}/2 HTTP/1.1\r\n\r\n"
        );
        client.send(&request).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 400"), "{headers}: {head}");
    }
    assert!(stage.dialled().is_empty());
    // Length beside chunked: the length goes, the chunks count.
    let reply = stage
        .request(&format!(
            "POST http://{PUBLIC}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"
        ))
        .await;
    assert_eq!(reply.status, 200);
    let sent = reply.body.to_ascii_lowercase();
    assert!(!sent.contains("content-length"), "{sent}");
    assert!(sent.contains("transfer-encoding: chunked"), "{sent}");
}

/// Pieces of requests, put together in any order, and noise.
fn fuzz() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"GET http://93.184.215.14/ HTTP/1.1\r\n".to_vec()),
        Just(b"CONNECT 93.184.215.14:80 HTTP/1.1\r\n".to_vec()),
        Just(b"POST http://127.0.0.1/ HTTP/1.0\r\n".to_vec()),
        Just(b"Host: a\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"Content-Length: 3\r\n".to_vec()),
        Just(b"Connection: upgrade, x\r\nUpgrade: websocket\r\n".to_vec()),
        Just(b"Expect: 100-continue\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"3\r\nabc\r\n0\r\n\r\n".to_vec()),
        Just(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        Just(b"\x16\x03\x01\x02\x00\x01\x00".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
        "[ -~]{0,60}\r\n".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

#[test]
fn any_bytes_end_in_an_answer_or_a_close() {
    // A panic in a connection's task looks like a close to the client, so it is counted.
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        usual(info);
    }));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (stage, addr) = runtime.block_on(async {
        let limits = Limits {
            head_read: Duration::from_millis(50),
            answer: Duration::from_millis(200),
            half_closed: Duration::from_millis(50),
            ..Limits::default()
        };
        let stage = Stage::with_limits(&[], limits).await;
        stage.route(&format!("{PUBLIC}:80"), mirror().await);
        let addr = stage.addr;
        (stage, addr)
    });
    let config =
        ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(bytes in fuzz())| {
        runtime.block_on(async {
            let mut client = TcpStream::connect(addr).await.expect("the gateway still listens");
            client.write_all(&bytes).await.ok();
            client.shutdown().await.ok();
            let mut answer = Vec::new();
            tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await.expect("no hang").ok();
        });
    });
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
    runtime.block_on(async {
        let reply = stage.request("GET http://93.184.215.14/ok HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(reply.status, 200);
        for at in stage.dialled() {
            assert_eq!(at, format!("{PUBLIC}:80"));
        }
    });
}
