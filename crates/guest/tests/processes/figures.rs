//! Figures, each beside its baseline of the same run. Not part of the usual tests:
//! `cargo test --release -p browserd-guest --test processes -- --ignored --nocapture --test-threads=1 figures`
#![allow(clippy::print_stderr, reason = "it prints figures")]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{TestGuest, Way};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};

async fn connect(path: impl AsRef<std::path::Path>) -> SendRequest<Full<Bytes>> {
    let stream = UnixStream::connect(path).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> Bytes {
    sender.ready().await.unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body().collect().await.unwrap().to_bytes()
}

fn quantiles(name: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let at = |q: usize| times[(times.len() * q / 1000).min(times.len() - 1)];
    eprintln!(
        "{name:<40} p50 {:>8.3} ms  p95 {:>8.3} ms  p99 {:>8.3} ms  (n={})",
        at(500).as_secs_f64() * 1e3,
        at(950).as_secs_f64() * 1e3,
        at(990).as_secs_f64() * 1e3,
        times.len()
    );
    at(500)
}

async fn exec(guest: &TestGuest) {
    let mut sender = connect(guest.socket()).await;
    let body = json!({"command": "/bin/true"});
    let (mut ours, mut direct) = (Vec::new(), Vec::new());
    for round in 0..600 {
        let begun = Instant::now();
        let request = crate::harness::Client::request("POST", "/process/exec", Some(&body));
        ask(&mut sender, request).await;
        let exec = begun.elapsed();
        let begun = Instant::now();
        let output = Command::new("/bin/true").stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success());
        if round >= 100 {
            ours.push(exec);
            direct.push(begun.elapsed());
        }
    }
    let ours = quantiles("exec of true, keep-alive", ours);
    let direct = quantiles("posix_spawn, pipes and wait", direct);
    eprintln!("exec adds {:.3} ms\n", (ours.as_secs_f64() - direct.as_secs_f64()) * 1e3);
}

async fn status(guest: &TestGuest) {
    let client = guest.client();
    let mut sender = connect(guest.socket()).await;
    let (busy, _) = client.spawn_sh("while :; do :; done").await;
    for live in [1, 100, 500] {
        let have = client.get("/process").await.ok().as_array().unwrap().len();
        for _ in have..live {
            client.spawn(json!({"command": "sleep", "args": ["1000"]})).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut times = Vec::new();
        for _ in 0..1000 {
            let begun = Instant::now();
            ask(
                &mut sender,
                crate::harness::Client::request("GET", &format!("{busy}/status"), None),
            )
            .await;
            times.push(begun.elapsed());
        }
        quantiles(&format!("status, {live} live"), times);
    }
    let mut times = Vec::new();
    for _ in 0..500 {
        let begun = Instant::now();
        sender.ready().await.unwrap();
        let response = sender
            .send_request(crate::harness::Client::request("GET", "/no/such", None))
            .await
            .unwrap();
        response.into_body().collect().await.unwrap();
        times.push(begun.elapsed());
    }
    quantiles("a route that does nothing (404)", times);
    let list: Vec<Value> = client.get("/process").await.ok().as_array().unwrap().clone();
    for process in list {
        let path = format!("/process/{}", process["process_id"].as_str().unwrap());
        client.kill(&path, "KILL").await;
    }
    guest.quiet().await;
    eprintln!();
}

const BYTES: usize = 256 << 20;

/// The baseline: the same command's output over plain chunked HTTP, from a server on one thread.
fn plain_server(path: std::path::PathBuf) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = UnixListener::bind(path).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper::service::service_fn(async |_| {
                    let mut child = Command::new("head")
                        .args(["-c", &BYTES.to_string(), "/dev/zero"])
                        .stdout(Stdio::piped())
                        .spawn()
                        .unwrap();
                    let pipe = std::os::fd::OwnedFd::from(child.stdout.take().unwrap());
                    let _ = rustix::pipe::fcntl_setpipe_size(&pipe, 256 * 1024);
                    let pipe = tokio::net::unix::pipe::Receiver::from_owned_fd(pipe).unwrap();
                    let chunks = tokio_util::io::ReaderStream::with_capacity(pipe, 64 * 1024);
                    let body = axum::body::Body::from_stream(chunks);
                    std::thread::spawn(move || child.wait());
                    Ok::<_, std::convert::Infallible>(http::Response::new(body))
                });
                let io = TokioIo::new(stream);
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            }
        });
    });
}

/// Reads a whole response body off the socket without looking at it; bytes and time.
async fn drain(path: &std::path::Path, request_path: &str) -> (usize, Duration) {
    let begun = Instant::now();
    let mut stream = UnixStream::connect(path).await.unwrap();
    let head = format!("GET {request_path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    tokio::task::spawn_blocking(move || {
        let (mut total, mut buffer) = (0, vec![0; 256 * 1024]);
        loop {
            match std::io::Read::read(&mut stream, &mut buffer).unwrap() {
                0 => return (total, begun.elapsed()),
                n => total += n,
            }
        }
    })
    .await
    .unwrap()
}

async fn stream(guest: &TestGuest) {
    let client = guest.client();
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain.sock");
    plain_server(plain.clone());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let before = guest.resident();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        let (total, time) = drain(&plain, "/").await;
        assert!(total > BYTES);
        theirs.push(BYTES as f64 / time.as_secs_f64() / 1e6);
        let body = json!({"command": "head", "args": ["-c", BYTES.to_string(), "/dev/zero"]});
        let (process, _) = client.spawn(body).await;
        let (total, time) = drain(&guest.socket(), &format!("{process}/stdout/stream")).await;
        assert!(total > BYTES * 4 / 3, "{total}");
        ours.push(BYTES as f64 / time.as_secs_f64() / 1e6);
    }
    ours.sort_by(f64::total_cmp);
    theirs.sort_by(f64::total_cmp);
    eprintln!(
        "stdout stream, base64 events       {:>8.0} MB/s of output (best {:.0})",
        ours[3], ours[6]
    );
    eprintln!("plain chunked HTTP, same command   {:>8.0} MB/s (best {:.0})", theirs[3], theirs[6]);
    eprintln!(
        "ratio {:.2}; the guest grew by {} KiB\n",
        ours[3] / theirs[3],
        guest.resident().saturating_sub(before) >> 10
    );
}

async fn figures_of(way: Way) {
    let Some(guest) = TestGuest::start_keeping(way, false).await else { return };
    eprintln!("== {way:?}, guest resident {} KiB", guest.resident() >> 10);
    stream(&guest).await;
    exec(&guest).await;
    status(&guest).await;
    eprintln!("guest resident {} KiB", guest.resident() >> 10);
    guest.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn figures_leaf() {
    figures_of(Way::Leaf).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures"]
async fn figures_tree() {
    figures_of(Way::Tree).await;
}
