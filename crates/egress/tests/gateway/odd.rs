//! Answers that are no proper HTTP: as browsers take them they pass as they came, and nothing else goes over the
//! connections they came by.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::stage::{Client, PUBLIC, Stage, origin, request_head};

/// The address of the test's origin.
const AT: &str = "93.184.215.14:80";

fn get(path: &str) -> String {
    format!("GET http://{PUBLIC}{path} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// A client that has asked an origin that answers with these bytes and closes.
async fn asked(bytes: &str) -> (Stage, Client) {
    let stage = Stage::new(&[]).await;
    let answer = bytes.to_owned();
    let addr = origin(move |mut stream| {
        let answer = answer.clone();
        async move {
            request_head(&mut stream).await;
            stream.write_all(answer.as_bytes()).await.ok();
        }
    })
    .await;
    stage.route(AT, addr);
    let mut client = stage.client().await;
    client.send(&get("/")).await;
    (stage, client)
}

#[tokio::test]
async fn they_pass_as_they_came() {
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\nhi", "x".repeat(200 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\nhi", "A: b\r\n".repeat(200));
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\n: nothing\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nA: b\x01c\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhi",
        "http/1.1 200 OK\r\n\r\nhi",
        "HTTP/1.2 200 OK\r\n\r\nhi",
        "ICY 200 OK\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "just text",
        &long,
        &many,
    ] {
        let (_stage, mut client) = asked(bytes).await;
        let got = client.rest().await;
        assert!(got == bytes, "{}\n{}", &bytes[..bytes.len().min(200)], &got[..got.len().min(200)]);
    }
}

#[tokio::test]
async fn what_only_the_gateway_may_say_does_not() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nA : b\r\nX-Kernel-Proxy-Error: destination_blocked\r\n\r\nhi",
        "HTTP/1.1 407 No\r\nA : b\r\nProxy-Authenticate: Basic realm=x\r\n\r\nhi",
        "HTTP/1.1 101 Yes\r\nA : b\r\nUpgrade: websocket\r\n\r\nhi",
    ] {
        let (_stage, mut client) = asked(bytes).await;
        let refusal = client.reply().await.refusal();
        assert_eq!(refusal, (502, "origin_response_incomplete".to_owned()), "{bytes}");
    }
}

#[tokio::test]
async fn one_that_is_cut_short_ends_the_connection() {
    for head in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n2\r\nhi\r\n");
        let (_stage, mut client) = asked(&answer).await;
        let got = client.rest().await;
        assert!(got.contains("hi") && !got.ends_with("0\r\n\r\n"), "{got}");
    }
}

#[tokio::test]
async fn no_other_request_goes_over_the_connection() {
    let stage = Stage::new(&[]).await;
    let (told, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let addr = origin(move |mut stream| {
        let told = told.clone();
        async move {
            request_head(&mut stream).await;
            let odd = b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi";
            stream.write_all(odd).await.ok();
            let mut more = Vec::new();
            stream.read_to_end(&mut more).await.ok();
            told.send(more).ok();
        }
    })
    .await;
    stage.route(AT, addr);
    let mut client = stage.client().await;
    client.send(&get("/")).await;
    assert!(client.exactly(41).await.ends_with("hi"));
    // To a client that reads a length in it the answer is over, and the connection free.
    client.send("GET http://other.test/ HTTP/1.1\r\nCookie: secret\r\nHost: x\r\n\r\n").await;
    assert_eq!(client.rest().await, "");
    assert_eq!(seen.recv().await, Some(Vec::new()));
    assert_eq!(stage.dialled(), [AT]);
}

#[tokio::test]
async fn while_a_request_is_not_whole_there_is_none() {
    let stage = Stage::new(&[]).await;
    let addr = origin(|mut stream| async move {
        request_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nA : b\r\n\r\nhi").await.ok();
        let mut more = Vec::new();
        stream.read_to_end(&mut more).await.ok();
    })
    .await;
    stage.route(AT, addr);
    let mut client = stage.client().await;
    let head = "POST http://93.184.215.14/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345";
    client.send(head).await;
    let got = client.reply().await;
    assert_eq!(got.refusal(), (502, "origin_response_incomplete".to_owned()));
}
