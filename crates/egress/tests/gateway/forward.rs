//! Plain HTTP through the gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use browserd_egress::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::stage::{PATIENCE, PUBLIC, Stage, echo, entries, mirror, origin, request_head};

const AT: &str = "93.184.215.14:80";

#[tokio::test]
async fn requests_are_rewritten_for_the_origin() {
    let stage = Stage::new(&[]).await;
    stage.name("site.test", &[&[PUBLIC]]);
    stage.route(AT, mirror().await);
    stage.route(&format!("{PUBLIC}:8080"), mirror().await);
    let reply = stage
        .request(
            "GET http://SITE.test/a%20b?c=d#frag HTTP/1.1\r\nHost: evil.test\r\nUser-AGENT: t\r\n\
             Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nKeep-Alive: 5\r\n\
             Connection: X-Mine\r\nX-Mine: 1\r\nX-Other: 2\r\n\r\n",
        )
        .await;
    assert_eq!(reply.status, 200);
    let sent: Vec<&str> = reply.body.lines().filter(|line| !line.is_empty()).collect();
    // Spelling of names is the client's, order too; nothing was added.
    assert_eq!(sent[0], "GET /a%20b?c=d HTTP/1.1");
    let mut rest = sent[1..].to_vec();
    rest.sort_unstable();
    assert_eq!(rest, ["Host: site.test", "User-AGENT: t", "X-Other: 2"]);
    assert_eq!(reply.header("X-Case"), Some("Kept"));
    assert!(reply.head.contains("X-Case: Kept"), "{}", reply.head);
    assert_eq!(reply.header("x-kernel-proxy-error"), None);
    assert_eq!(reply.header("x-hop"), None);
    assert_eq!(reply.header("date"), None);

    let reply = stage.request("GET http://site.test:8080 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(reply.body.starts_with("GET / HTTP/1.1\r\n"), "{}", reply.body);
    assert!(reply.body.contains("ost: site.test:8080\r\n"), "{}", reply.body);
}

#[tokio::test]
async fn every_request_on_a_connection_is_decided_for_itself() {
    let stage = Stage::new(&[]).await;
    stage.name("one.test", &[&[PUBLIC]]);
    stage.name("two.test", &[&["10.0.0.1"]]);
    stage.route(AT, mirror().await);
    let mut client = stage.client().await;
    for _ in 0..2 {
        for (host, status) in
            [("one.test", 200), ("two.test", 403), ("127.1", 403), ("one.test", 200)]
        {
            client.send(&format!("GET http://{host}/ HTTP/1.1\r\nHost: one.test\r\n\r\n")).await;
            assert_eq!(client.reply().await.status, status, "{host}");
        }
    }
    assert!(stage.dialled().iter().all(|at| at == AT));
}

#[tokio::test]
async fn a_connection_to_the_same_origin_is_kept() {
    let stage = Stage::new(&[]).await;
    stage.name("one.test", &[&[PUBLIC], &["10.0.0.1"]]);
    stage.route(AT, mirror().await);
    let mut client = stage.client().await;
    for i in 0..5 {
        client.send(&format!("GET http://one.test/{i} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        let reply = client.reply().await;
        assert!(reply.body.starts_with(&format!("GET /{i} ")), "{reply:?}");
    }
    assert_eq!((stage.dialled().len(), stage.lookups().len()), (1, 1));
}

#[tokio::test]
async fn an_origin_that_closes_after_each_answer_is_dialled_again() {
    let addr = origin(|mut stream| async move {
        request_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.ok();
    })
    .await;
    let stage = Stage::new(&[]).await;
    stage.route(AT, addr);
    let mut client = stage.client().await;
    for _ in 0..20 {
        client.send(&format!("GET http://{PUBLIC}/ HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(client.reply().await.body, "ok");
    }
}

#[tokio::test]
async fn a_kept_connection_that_breaks_under_a_request_breaks_the_clients() {
    // Answers the first request of a connection and drops the second unanswered.
    let addr = origin(|mut stream| async move {
        request_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.ok();
        request_head(&mut stream).await;
    })
    .await;
    let stage = Stage::new(&[]).await;
    stage.route(AT, addr);
    let mut client = stage.client().await;
    let request = format!("GET http://{PUBLIC}/ HTTP/1.1\r\nHost: x\r\n\r\n");
    client.send(&request).await;
    assert_eq!(client.reply().await.body, "ok");
    client.send(&request).await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn broken_origins_have_their_codes() {
    let limits = Limits { answer: Duration::from_millis(100), ..Limits::default() };
    let stage = Stage::with_limits(&[], limits).await;
    for (port, answer) in [
        (81, ""),
        (84, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
    ] {
        let addr = origin(move |mut stream| async move {
            request_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.ok();
        })
        .await;
        stage.route(&format!("{PUBLIC}:{port}"), addr);
        let reply = stage
            .request(&format!("GET http://{PUBLIC}:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n"))
            .await;
        assert_eq!(reply.refusal(), (502, "origin_response_incomplete".to_owned()), "{answer}");
    }
    let quiet = origin(|mut stream| async move {
        let mut sink = Vec::new();
        stream.read_to_end(&mut sink).await.ok();
    })
    .await;
    stage.route(AT, quiet);
    let reply = stage.request(&format!("GET http://{PUBLIC}/ HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert_eq!(reply.refusal(), (504, "upstream_timeout".to_owned()));
}

#[tokio::test]
async fn heads_and_empty_answers_keep_their_lengths() {
    let addr = origin(|mut stream| async move {
        while let Some((head, _)) = request_head(&mut stream).await {
            let answer = if head.starts_with("HEAD") {
                "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"
            } else {
                "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"
            };
            stream.write_all(answer.as_bytes()).await.ok();
        }
    })
    .await;
    let stage = Stage::new(&[]).await;
    stage.route(AT, addr);
    let mut client = stage.client().await;
    client.send(&format!("HEAD http://{PUBLIC}/ HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    let head = client.head().await.to_ascii_lowercase();
    assert!(head.contains("content-length: 1234"), "{head}");
    client.send(&format!("GET http://{PUBLIC}/ HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 304"));
}

#[tokio::test]
async fn chunks_and_trailers_pass() {
    let addr = origin(|mut stream| async move {
        let (head, mut body) = request_head(&mut stream).await.expect("a request");
        while !body.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut body).await.expect("a body");
        }
        let head = head.to_ascii_lowercase();
        assert!(head.contains("te: trailers") && head.contains("transfer-encoding: chunked"));
        let body = String::from_utf8_lossy(&body).to_ascii_lowercase();
        let seen = u8::from(body.contains("abc")) + u8::from(body.contains("x-sum: 7"));
        let answer = format!(
            "HTTP/1.1 200 OK\r\nTrailer: X-Check\r\nTransfer-Encoding: chunked\r\n\r\n\
             1\r\n{seen}\r\n0\r\nX-Check: fine\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.ok();
    })
    .await;
    let stage = Stage::new(&[]).await;
    stage.route(AT, addr);
    // A GET with a body too: it has to be chunked again on the other side.
    for method in ["POST", "GET"] {
        let mut client = stage.client().await;
        client
            .send(&format!(
                "{method} http://{PUBLIC}/ HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nTrailer: X-Sum\r\n\
                 Transfer-Encoding: chunked\r\nConnection: close, TE\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n"
            ))
            .await;
        let answer = client.rest().await.to_ascii_lowercase();
        assert!(answer.contains("\r\n2\r\n"), "{method}: {answer}");
        assert!(answer.contains("x-check: fine"), "{method}: {answer}");
    }
}

#[tokio::test]
async fn expectations_are_met() {
    let addr = origin(|mut stream| async move {
        let (_, mut body) = request_head(&mut stream).await.expect("a request");
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok();
        while body.len() < 5 {
            stream.read_buf(&mut body).await.expect("a body");
        }
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
            String::from_utf8_lossy(&body)
        );
        stream.write_all(answer.as_bytes()).await.ok();
    })
    .await;
    let stage = Stage::new(&[]).await;
    stage.route(AT, addr);
    let mut client = stage.client().await;
    client
        .send(&format!(
            "POST http://{PUBLIC}/ HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        ))
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 100"));
    client.send("hello").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "hello"));
}

#[tokio::test]
async fn websockets_pass_and_the_policy_still_holds_them() {
    let addr = origin(|mut stream| async move {
        let (head, early) = request_head(&mut stream).await.expect("a request");
        let head = head.to_ascii_lowercase();
        assert!(
            head.contains("upgrade: websocket") && head.contains("connection: upgrade"),
            "{head}"
        );
        assert!(early.is_empty());
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: x\r\n\r\nhello",
            )
            .await
            .ok();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.ok();
    })
    .await;
    let stage = Stage::new(&["10.0.0.1"]).await;
    stage.route("10.0.0.1:80", addr);
    let mut client = stage.client().await;
    client
        .send(
            "GET http://10.0.0.1/ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
        )
        .await;
    let head = client.head().await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains("upgrade: websocket") && head.contains("sec-websocket-accept"), "{head}");
    assert_eq!(client.exactly(5).await, "hello");
    client.send("frame").await;
    assert_eq!(client.exactly(5).await, "frame");
    stage.gateway.set_policy(&entries(&[])).expect("valid");
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_new_policy_cuts_an_answer_in_flight() {
    let addr = origin(|mut stream| async move {
        request_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart").await.ok();
        std::future::pending::<()>().await;
    })
    .await;
    let stage = Stage::new(&["10.0.0.1"]).await;
    stage.route("10.0.0.1:80", addr);
    let mut client = stage.client().await;
    client.send("GET http://10.0.0.1/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.exactly(4).await, "part");
    stage.gateway.set_policy(&entries(&[])).expect("valid");
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let (gone, mut left) = mpsc::channel(1);
    let addr = origin(move |mut stream| {
        let gone = gone.clone();
        async move {
            request_head(&mut stream).await;
            gone.send("asked").await.ok();
            let mut sink = Vec::new();
            stream.read_to_end(&mut sink).await.ok();
            gone.send("left").await.ok();
        }
    })
    .await;
    let stage = Stage::new(&[]).await;
    stage.route(AT, addr);
    let mut client = stage.client().await;
    client.send(&format!("GET http://{PUBLIC}/poll HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert_eq!(left.recv().await, Some("asked"));
    drop(client);
    let noticed = tokio::time::timeout(PATIENCE, left.recv()).await;
    assert_eq!(noticed, Ok(Some("left")));
}

/// Resident memory of this process, bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: usize = statm.split(' ').nth(1).expect("a field").parse().expect("a number");
    pages * 4096
}

const BIG: usize = 192 * 1024 * 1024;
const SPARE: usize = 24 * 1024 * 1024;

#[tokio::test]
async fn big_bodies_stream_both_ways_in_flat_memory() {
    let taken = Arc::new(AtomicUsize::new(0));
    let taking = Arc::clone(&taken);
    let addr = origin(move |mut stream| {
        let taken = Arc::clone(&taking);
        async move {
            let (head, early) = request_head(&mut stream).await.expect("a request");
            let mut block = vec![7; 64 * 1024];
            if head.starts_with("POST") {
                taken.fetch_add(early.len(), Ordering::Relaxed);
                while taken.load(Ordering::Relaxed) < BIG {
                    let n = stream.read(&mut block).await.expect("a body");
                    taken.fetch_add(n, Ordering::Relaxed);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.ok();
            } else {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.ok();
                for _ in 0..BIG / block.len() {
                    stream.write_all(&block).await.ok();
                }
            }
        }
    })
    .await;
    let stage = Stage::new(&[]).await;
    stage.route(AT, addr);
    let before = resident();
    let mut block = vec![0; 64 * 1024];

    let mut client = stage.client().await;
    client
        .send(&format!("GET http://{PUBLIC}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
        .await;
    client.head().await;
    let mut got = 0;
    loop {
        let n = client.stream.read(&mut block).await.expect("an orderly end");
        if n == 0 {
            break;
        }
        got += n;
    }
    // The head's read may have taken the first bytes of the body.
    assert!((BIG - 128 * 1024..=BIG).contains(&got), "{got}");

    let mut client = stage.client().await;
    client
        .send(&format!(
            "POST http://{PUBLIC}/ HTTP/1.1\r\nHost: x\r\nContent-Length: {BIG}\r\n\r\n"
        ))
        .await;
    for _ in 0..BIG / block.len() {
        client.stream.write_all(&block).await.expect("the gateway reads");
    }
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(taken.load(Ordering::Relaxed), BIG);

    let grown = resident().saturating_sub(before);
    assert!(grown < SPARE, "{grown} bytes more after streaming {BIG} twice");
}

#[tokio::test]
async fn a_stalled_client_stalls_the_origin_instead_of_filling_memory() {
    let stage = Stage::new(&[]).await;
    let (sent, mut sending) = mpsc::channel(1024);
    let addr = origin(move |mut stream| {
        let sent = sent.clone();
        async move {
            request_head(&mut stream).await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.ok();
            let block = vec![7; 256 * 1024];
            while stream.write_all(&block).await.is_ok() {
                sent.send(()).await.ok();
            }
        }
    })
    .await;
    stage.route(AT, addr);
    stage.route(&format!("{PUBLIC}:443"), echo().await);
    let mut client = stage.client().await;
    client.send(&format!("GET http://{PUBLIC}/ HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    // Nothing is read; sooner or later nothing is taken from the origin any more.
    let mut blocks = 0;
    while tokio::time::timeout(Duration::from_millis(500), sending.recv()).await.is_ok() {
        blocks += 1;
        assert!(blocks * 256 * 1024 < 64 * 1024 * 1024, "no back-pressure");
    }
    // And nobody else is held up.
    let mut other = stage.tunnel(&format!("{PUBLIC}:443")).await;
    other.send("x").await;
    assert_eq!(other.exactly(1).await, "x");
}
