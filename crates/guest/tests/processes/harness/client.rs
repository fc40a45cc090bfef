//! A small HTTP client over the guest's unix socket.

use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::UnixStream;

/// Makes a connection for each request.
#[derive(Clone)]
pub(crate) struct Client {
    socket: PathBuf,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Asserts a refusal: status, code, and, unless empty, the first field to blame.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str, field: &str) {
        let body = self.json();
        assert_eq!(self.status, status, "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert!(body["message"].as_str().is_some_and(|m| !m.is_empty()), "{body}");
        if !field.is_empty() {
            assert_eq!(body["details"][0]["code"], field, "{body}");
        }
        if status == 409 {
            assert_eq!(self.headers["x-should-retry"], "false");
        }
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }
}

impl Client {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    pub(crate) async fn open(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let (parts, body) = self.open(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn request(method: &str, path: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
        let builder = Request::builder().method(method).uri(path).header("host", "guest");
        match body {
            Some(body) => builder
                .header("content-type", "application/json")
                .body(Full::from(body.to_string()))
                .unwrap(),
            None => builder.body(Full::default()).unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Self::request("GET", path, None)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Self::request("POST", path, Some(&body))).await
    }

    pub(crate) async fn exec(&self, body: Value) -> Answer {
        self.post("/process/exec", body).await
    }

    /// Runs a script with sh; its exit code, standard output and standard error.
    pub(crate) async fn sh(&self, script: &str) -> (i64, String, String) {
        let answer = self.exec(json!({"command": "sh", "args": ["-c", script]})).await.ok();
        output(&answer)
    }

    /// Spawns; answers with the path of the process and its pid.
    pub(crate) async fn spawn(&self, body: Value) -> (String, i64) {
        let answer = self.post("/process/spawn", body).await.ok();
        let id = answer["process_id"].as_str().unwrap();
        assert!(answer["started_at"].as_str().unwrap().ends_with('Z'), "{answer}");
        (format!("/process/{id}"), answer["pid"].as_i64().unwrap())
    }

    pub(crate) async fn spawn_sh(&self, script: &str) -> (String, i64) {
        self.spawn(json!({"command": "sh", "args": ["-c", script]})).await
    }

    pub(crate) async fn status(&self, process: &str) -> Value {
        self.get(&format!("{process}/status")).await.ok()
    }

    /// Waits for the exit; the status then.
    pub(crate) async fn wait(&self, process: &str) -> Value {
        let status = self.get(&format!("{process}/wait?timeout=30")).await.ok();
        assert_eq!(status["state"], "exited", "{status}");
        status
    }

    pub(crate) async fn kill(&self, process: &str, signal: &str) -> Answer {
        self.post(&format!("{process}/kill"), json!({"signal": signal})).await
    }

    pub(crate) async fn stream(&self, process: &str) -> Events {
        let path = format!("{process}/stdout/stream");
        let response = self.open(Self::request("GET", &path, None)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-sse-content-type"], "application/json");
        Events { body: response.into_body(), buffer: Vec::new(), searched: 0 }
    }
}

/// Exit code and decoded output of an exec answer.
pub(crate) fn output(answer: &Value) -> (i64, String, String) {
    let text = |field: &str| String::from_utf8(decode(&answer[field])).unwrap();
    (answer["exit_code"].as_i64().unwrap(), text("stdout_b64"), text("stderr_b64"))
}

pub(crate) fn decode(value: &Value) -> Vec<u8> {
    base64_simd::STANDARD.decode_to_vec(value.as_str().unwrap()).unwrap()
}

/// An event stream being read.
pub(crate) struct Events {
    body: Incoming,
    buffer: Vec<u8>,
    searched: usize,
}

/// A whole stream, read to its end.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) dropped: u64,
    pub(crate) exit_code: Option<i64>,
}

impl Events {
    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let from = self.searched.saturating_sub(1);
            let end = self.buffer[from..].windows(2).position(|two| two == b"\n\n");
            self.searched = self.buffer.len();
            if let Some(end) = end {
                self.searched = 0;
                let frame: Vec<u8> = self.buffer.drain(..from + end + 2).collect();
                match frame.strip_prefix(b"data: ") {
                    Some(json) => return Some(serde_json::from_slice(json).unwrap()),
                    None => continue,
                }
            }
            let frame = self.body.frame().await?.unwrap();
            self.buffer.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    /// Everything up to the end; the exit event must be the last.
    pub(crate) async fn all(mut self) -> Transcript {
        let mut seen = Transcript::default();
        while let Some(event) = self.next().await {
            assert_eq!(seen.exit_code, None, "something follows the exit: {event}");
            seen.take(&event);
        }
        assert!(seen.exit_code.is_some(), "no exit event");
        seen
    }
}

impl Transcript {
    pub(crate) fn take(&mut self, event: &Value) {
        if event["event"] == "exit" {
            self.exit_code = event["exit_code"].as_i64();
            return;
        }
        let bytes = decode(&event["data_b64"]);
        match event["stream"].as_str() {
            Some("stdout") => self.stdout.extend(bytes),
            Some("stderr") => self.stderr.extend(bytes),
            other => panic!("stream {other:?}"),
        }
        self.dropped += event["dropped_bytes"].as_u64().unwrap_or(0);
    }
}
