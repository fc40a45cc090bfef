//! CONNECT: tunnels and the ways not to get one.

use std::time::Duration;

use browserd_egress::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::stage::{PUBLIC, PUBLIC_6, Stage, echo, origin};

async fn connect(stage: &Stage, to: &str) -> (u16, String) {
    stage.request(&format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await.refusal()
}

fn blocked() -> (u16, String) {
    (403, "destination_blocked".to_owned())
}

#[tokio::test]
async fn tunnel_carries_bytes_both_ways() {
    let stage = Stage::new(&[]).await;
    stage.name("echo.test", &[&[PUBLIC]]);
    stage.route(&format!("{PUBLIC}:443"), echo().await);
    let mut client = stage.client().await;
    // Bytes sent along with the request belong to the tunnel.
    client.send("CONNECT Echo.Test.:443 HTTP/1.1\r\nHost: x\r\n\r\nearly").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(client.exactly(5).await, "early");
    client.send("late").await;
    assert_eq!(client.exactly(4).await, "late");
    assert_eq!(stage.lookups(), ["echo.test"]);
}

#[tokio::test]
async fn half_close_leaves_the_other_direction_open() {
    // Answers only after the client has ended its side.
    let addr = origin(|mut stream| async move {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.ok();
        all.reverse();
        stream.write_all(&all).await.ok();
    })
    .await;
    let stage = Stage::new(&[]).await;
    stage.route(&format!("{PUBLIC}:443"), addr);
    let mut client = stage.tunnel(&format!("{PUBLIC}:443")).await;
    client.send("abc").await;
    client.stream.shutdown().await.expect("half close");
    assert_eq!(client.rest().await, "cba");
}

#[tokio::test]
async fn the_idle_timer_ends_a_half_closed_tunnel() {
    let addr = origin(|mut stream| async move {
        // Never answers, never closes by itself.
        let mut sink = Vec::new();
        stream.read_to_end(&mut sink).await.ok();
        std::future::pending::<()>().await;
    })
    .await;
    let limits = Limits { half_closed: Duration::from_millis(100), ..Limits::default() };
    let stage = Stage::with_limits(&[], limits).await;
    stage.route(&format!("{PUBLIC}:443"), addr);
    let mut client = stage.tunnel(&format!("{PUBLIC}:443")).await;
    client.stream.shutdown().await.expect("half close");
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn the_end_of_the_origin_reaches_the_client_and_back() {
    let (seen, mut end) = mpsc::channel(1);
    let addr = origin(move |mut stream| {
        let seen = seen.clone();
        async move {
            stream.write_all(b"bye").await.ok();
            stream.shutdown().await.ok();
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await.ok();
            seen.send(rest).await.ok();
        }
    })
    .await;
    let stage = Stage::new(&[]).await;
    stage.route(&format!("{PUBLIC}:443"), addr);
    let mut client = stage.tunnel(&format!("{PUBLIC}:443")).await;
    assert_eq!(client.rest().await, "bye");
    client.send("still here").await;
    drop(client);
    assert_eq!(end.recv().await.as_deref(), Some("still here"));
}

#[tokio::test]
async fn a_stalled_reader_loses_nothing() {
    const TOTAL: usize = 8 * 1024 * 1024;
    let addr = origin(|mut stream| async move {
        let block: Vec<u8> = (0..=255).cycle().take(64 * 1024).collect();
        for _ in 0..TOTAL / block.len() {
            stream.write_all(&block).await.ok();
        }
    })
    .await;
    // Held bytes over the limit from the start: the small buffer carries everything.
    for held_bytes in [0, Limits::default().held_bytes] {
        let stage = Stage::with_limits(&[], Limits { held_bytes, ..Limits::default() }).await;
        stage.route(&format!("{PUBLIC}:443"), addr);
        let mut client = stage.tunnel(&format!("{PUBLIC}:443")).await;
        // A reader so slow that the origin fills every buffer on the way.
        let mut all = Vec::with_capacity(TOTAL);
        let mut sip = [0; 4096];
        loop {
            let n = client.stream.read(&mut sip).await.expect("an orderly end");
            if n == 0 {
                break;
            }
            all.extend_from_slice(&sip[..n]);
            tokio::task::yield_now().await;
        }
        assert_eq!(all.len(), TOTAL);
        assert!(all.iter().enumerate().all(|(i, b)| *b == (i % 256) as u8));
    }
}

#[tokio::test]
async fn forbidden_literals_are_refused_in_every_spelling() {
    let stage = Stage::new(&[]).await;
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0x7f000001",
        "127.0.0.1.",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "0.0.0.0",
        "0",
        "255.255.255.255",
        "224.0.0.1",
        "198.18.0.1",
        "203.0.113.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:8.8.8.8]",
        "[::127.0.0.1]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[fd12::1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2001:0:1::1]",
        "[fec0::1]",
        "[ff02::1]",
        "168.63.129.16",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
    ] {
        assert_eq!(connect(&stage, &format!("{host}:80")).await, blocked(), "{host}");
    }
    assert!(stage.dialled().is_empty());
    assert!(stage.lookups().is_empty());
}

#[tokio::test]
async fn rebinding_gets_nowhere() {
    let stage = Stage::new(&[]).await;
    stage.name("rebind.test", &[&[PUBLIC], &["127.0.0.1"], &["10.0.0.1", PUBLIC]]);
    stage.route(&format!("{PUBLIC}:80"), echo().await);
    let mut first = stage.tunnel("rebind.test:80").await;
    // One lookup a connection; a second answer would be the private one.
    assert_eq!(stage.lookups().len(), 1);
    first.send("x").await;
    assert_eq!(first.exactly(1).await, "x");
    assert_eq!(connect(&stage, "rebind.test:80").await, blocked());
    // Of a mixed answer only what is allowed is dialled.
    stage.tunnel("rebind.test:80").await;
    assert_eq!(stage.dialled(), [format!("{PUBLIC}:80"), format!("{PUBLIC}:80")]);
}

#[tokio::test]
async fn refusals_do_not_tell_what_a_name_resolved_to() {
    let stage = Stage::new(&[]).await;
    stage.name("intra.test", &[&["10.11.12.13", "fd00::77"]]);
    let reply = stage.request("CONNECT intra.test:80 HTTP/1.1\r\n\r\n").await;
    assert_eq!(reply.refusal(), blocked());
    assert!(!reply.head.contains("10.11") && !reply.body.contains("10.11"), "{reply:?}");
    assert!(!reply.body.contains("fd00"), "{reply:?}");
    assert!(reply.body.contains("allowed_private_hosts"), "{reply:?}");
}

#[tokio::test]
async fn the_hosts_own_public_address_is_refused() {
    let stage = Stage::new(&[]).await;
    stage.own(PUBLIC);
    assert_eq!(connect(&stage, &format!("{PUBLIC}:22")).await, blocked());
    assert!(stage.dialled().is_empty());
}

#[tokio::test]
async fn failures_upstream_have_their_codes() {
    let limits = Limits {
        resolve: Duration::from_millis(50),
        connect: Duration::from_millis(200),
        connect_address: Duration::from_millis(50),
        stagger: Duration::from_millis(10),
        ..Limits::default()
    };
    let stage = Stage::with_limits(&[], limits).await;
    stage.name("empty.test", &[&[]]);
    stage.name("closed.test", &[&[PUBLIC, PUBLIC_6]]);
    stage.name("quiet.test", &[&[PUBLIC]]);
    stage.silent(&format!("{PUBLIC}:81"));
    for (to, status, code) in [
        ("missing.test:80", 502, "upstream_dns_failure"),
        ("empty.test:80", 502, "upstream_dns_failure"),
        ("silent.test:80", 504, "upstream_timeout"),
        ("closed.test:80", 502, "upstream_connect_failed"),
        ("quiet.test:81", 504, "upstream_timeout"),
        ("quiet.test:25", 403, "network_policy_denied"),
        ("update.googleapis.com:443", 403, "browser_service_blocked"),
    ] {
        assert_eq!(connect(&stage, to).await, (status, code.to_owned()), "{to}");
    }
}

#[tokio::test]
async fn a_silent_address_does_not_hold_up_the_next() {
    let limits = Limits { stagger: Duration::from_millis(20), ..Limits::default() };
    let stage = Stage::with_limits(&[], limits).await;
    stage.name("two.test", &[&[PUBLIC_6, PUBLIC]]);
    stage.silent(&format!("[{PUBLIC_6}]:443"));
    stage.route(&format!("{PUBLIC}:443"), echo().await);
    stage.tunnel("two.test:443").await;
    assert_eq!(stage.dialled(), [format!("[{PUBLIC_6}]:443"), format!("{PUBLIC}:443")]);
}

#[tokio::test]
async fn malformed_targets_are_told_so() {
    let stage = Stage::new(&[]).await;
    for target in ["example.com", "user@example.com:80", "a..b:80", "a:0"] {
        assert_eq!(connect(&stage, target).await, (400, "bad_request".to_owned()), "{target}");
    }
    let with_body = "CONNECT a.test:80 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(stage.request(with_body).await.refusal(), (400, "bad_request".to_owned()));
    assert!(stage.lookups().is_empty());
}

#[tokio::test]
async fn bytes_after_a_refused_connect_are_not_a_request() {
    let stage = Stage::new(&[]).await;
    let mut client = stage.client().await;
    client
        .send("CONNECT 10.0.0.1:80 HTTP/1.1\r\n\r\nGET http://smuggled.test/ HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    assert_eq!(client.reply().await.refusal(), blocked());
    assert_eq!(client.rest().await, "");
    assert!(stage.lookups().is_empty());
}
