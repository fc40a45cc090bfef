//! Clients that do not read, and processes that do not: what they may cost, and what they must not
//! lose.

use std::time::{Duration, Instant};

use crate::harness::{Client, TestGuest, Way, output};
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio_tungstenite::tungstenite::Message;

both_ways!(
    answers_of_exec_that_nobody_reads,
    input_for_a_process_that_does_not_read,
    the_end_of_input_on_a_full_terminal,
    a_resize_after_the_exit,
    a_stream_whose_process_is_forgotten,
);

const MIB: u64 = 1 << 20;

async fn answers_of_exec_that_nobody_reads(guest: &TestGuest) {
    let client = guest.client();
    client.sh("true").await;
    let before = guest.resident();
    let body = json!({"command": "head", "args": ["-c", (8 * MIB).to_string(), "/dev/zero"]});
    // Their heads arrive, their bodies stay where they are.
    let calls = (0..16).map(|_| client.open(Client::request("POST", "/process/exec", Some(&body))));
    let answers = join_all(calls).await;
    let grown = guest.resident().saturating_sub(before);
    assert!(grown < 110 * MIB, "16 answers of 8 MiB hold {grown} bytes");
    let hello = json!({"command": "echo", "args": ["hello"]});
    let none = client.exec(hello.clone()).await.ok();
    assert_eq!((&none["stdout_b64"], &none["stdout_truncated_bytes"]), (&json!(""), &json!(6)));
    let mut returned = 0;
    for answer in answers {
        let announced: u64 = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(announced, text.len() as u64);
        let answer: Value = serde_json::from_slice(&text).unwrap();
        let (code, out, _) = output(&answer);
        assert_eq!(code, 0);
        let left_out = answer["stdout_truncated_bytes"].as_u64().unwrap_or(0);
        assert_eq!(out.len() as u64 + left_out, 8 * MIB);
        returned += out.len() as u64;
    }
    assert_eq!(returned, 64 * MIB);
    assert_eq!(output(&client.exec(hello).await.ok()).1, "hello\n");
}

async fn input_for_a_process_that_does_not_read(guest: &TestGuest) {
    let client = guest.client();
    let (process, _) = client.spawn(json!({"command": "sleep", "args": ["1000"]})).await;
    let stdin = format!("{process}/stdin");
    let before = guest.resident();
    let text = base64_simd::STANDARD.encode_to_string(vec![b'x'; 6_000_000]);
    let body = json!({"data_b64": text}).to_string();
    let post = || {
        let mut request = Client::request("POST", &stdin, None);
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        *request.body_mut() = body.clone().into();
        let client = client.clone();
        tokio::spawn(async move { client.send(request).await })
    };
    let waiting: Vec<_> = (0..8).map(|_| post()).collect();
    // Refused as soon as the others hold all there is, which they do for ten seconds.
    let deadline = Instant::now() + Duration::from_secs(8);
    let refusal = loop {
        let answer = post().await.unwrap();
        if answer.status == 429 || Instant::now() > deadline {
            break answer;
        }
    };
    refusal.refused(429, "too_many_requests", "");
    assert!(refusal.headers.contains_key("retry-after"));
    let grown = guest.resident().saturating_sub(before);
    assert!(grown < 100 * MIB, "8 requests of 8 MB hold {grown} bytes");
    client.kill(&process, "KILL").await.ok();
    for answer in waiting {
        let answer = answer.await.unwrap();
        assert!(answer.status == 200 || answer.status == 409, "{}", answer.json());
    }
    // It comes back.
    post().await.unwrap().refused(409, "stdin_closed", "");
}

async fn the_end_of_input_on_a_full_terminal(guest: &TestGuest) {
    let client = guest.client();
    let go = guest.home().join("go");
    let script = format!(
        "stty -echo; echo ready; while [ ! -e {} ]; do sleep 0.05; done; wc -c; exit 5",
        go.display()
    );
    let body = json!({"command": "sh", "args": ["-c", script], "allocate_tty": true});
    let (process, _) = client.spawn(body).await;
    let mut events = client.stream(&process).await;
    events.next().await.unwrap();
    let stdin = format!("{process}/stdin");
    let lines = base64_simd::STANDARD.encode_to_string("line\n".repeat(200_000));
    let lines = json!({"data_b64": lines});
    // The second waits for its turn, gets it when the first has lost patience, and finds no room.
    let fill = client.post(&stdin, lines);
    let end = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.post(&stdin, json!({"eof": true})).await
    };
    let (filled, ended) = tokio::join!(fill, end);
    let taken = filled.ok()["written_bytes"].as_u64().unwrap();
    assert!((4096..1_000_000).contains(&taken), "{taken}");
    assert_eq!((ended.status.as_u16(), &ended.json()["code"]), (409, &json!("conflict")));
    assert_eq!(ended.headers["x-should-retry"], "true");
    std::fs::write(go, "").unwrap();
    // The character ends the input at the beginning of a line only.
    let newline = base64_simd::STANDARD.encode_to_string("\n");
    client.post(&stdin, json!({"data_b64": newline, "eof": true})).await.ok();
    let seen = events.all().await;
    let count = String::from_utf8(seen.stdout).unwrap();
    assert_eq!((count.trim().parse(), seen.exit_code), (Ok(taken + 1), Some(5)), "{count}");
}

async fn a_resize_after_the_exit(guest: &TestGuest) {
    let client = guest.client();
    let size = 3_000_000;
    let script = format!("head -c {size} /dev/zero | tr '\\0' x; exit 7");
    let body = json!({"command": "sh", "args": ["-c", script], "allocate_tty": true});
    let (process, _) = client.spawn(body).await;
    assert_eq!(client.wait(&process).await["exit_code"], 7);
    let stream = UnixStream::connect(guest.socket()).await.unwrap();
    let url = format!("ws://guest{process}/attach");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let resize = json!({"type": "resize", "rows": 7, "cols": 9}).to_string();
    socket.send(Message::Text(resize.into())).await.unwrap();
    let mut bytes = 0;
    let exit = loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Binary(data) => bytes += data.len(),
            other => break other,
        }
    };
    assert_eq!(bytes, size);
    assert_eq!(exit, Message::Text(r#"{"type":"exit","exitCode":7}"#.into()));
}

async fn a_stream_whose_process_is_forgotten(guest: &TestGuest) {
    if guest.way == Way::Tree {
        // Two thousand processes take long there, and nothing is different.
        return;
    }
    let client = guest.client();
    let size = 4 * MIB;
    let (process, _) = client.spawn_sh(&format!("head -c {size} /dev/zero; exit 3")).await;
    client.wait(&process).await;
    let slow = client.stream(&process).await;
    for _ in 0..2000 {
        let (other, _) = client.spawn(json!({"command": "true"})).await;
        client.wait(&other).await;
    }
    client.get(&format!("{process}/status")).await.refused(404, "process_not_found", "");
    let seen = slow.all().await;
    assert_eq!((seen.stdout.len() as u64, seen.dropped, seen.exit_code), (size, 0, Some(3)));
    // With its last reader the output goes too.
    crate::harness::eventually("the output is gone", || guest.output_files() == 0).await;
}
