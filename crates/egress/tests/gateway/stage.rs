//! The stage of these tests: a gateway, a table of names, a dialler that knows only listed
//! addresses, and a raw client.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use browserd_egress::{BoxFuture, Dialer, Gateway, Limits, Resolver};
use browserd_protocol::EgressPolicy;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A public address that the dialler maps to a listener of the test.
pub(crate) const PUBLIC: &str = "93.184.215.14";
/// Another one.
pub(crate) const PUBLIC_6: &str = "2606:2800:21f:cb07:6820:80da:af6b:8b2c";

/// Nothing in these tests takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct World {
    /// Each lookup takes the next answer; the last one stays.
    names: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    lookups: Mutex<Vec<String>>,
    routes: Mutex<HashMap<SocketAddr, Route>>,
    dialled: Mutex<Vec<SocketAddr>>,
    own: Mutex<Vec<IpAddr>>,
    asked: Notify,
    gate: Notify,
}

#[derive(Clone, Copy)]
enum Route {
    To(SocketAddr),
    Silent,
}

impl Resolver for World {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            self.lookups.lock().push(name.to_owned());
            if name == "silent.test" {
                return std::future::pending().await;
            }
            if name == "gated.test" {
                self.asked.notify_one();
                self.gate.notified().await;
            }
            let mut names = self.names.lock();
            let answers = names.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
            Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
        })
    }
}

impl Dialer for World {
    fn is_own(&self, ip: IpAddr) -> bool {
        self.own.lock().contains(&ip)
    }

    fn dial(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(async move {
            self.dialled.lock().push(addr);
            let route = self.routes.lock().get(&addr).copied();
            match route {
                Some(Route::To(local)) => TcpStream::connect(local).await,
                Some(Route::Silent) => std::future::pending().await,
                None => Err(io::ErrorKind::ConnectionRefused.into()),
            }
        })
    }
}

pub(crate) struct Stage {
    world: Arc<World>,
    pub(crate) gateway: Gateway,
    pub(crate) addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn entries(allowed: &[&str]) -> EgressPolicy {
    EgressPolicy { allowed_private_hosts: allowed.iter().map(ToString::to_string).collect() }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

impl Stage {
    pub(crate) async fn new(allowed: &[&str]) -> Self {
        Self::with_limits(allowed, Limits::default()).await
    }

    pub(crate) async fn with_limits(allowed: &[&str], limits: Limits) -> Self {
        let world = Arc::new(World::default());
        let gateway = Gateway::with_parts(&entries(allowed), world.clone(), world.clone(), limits)
            .expect("valid entries");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let addr = listener.local_addr().expect("its address");
        let serving = gateway.clone();
        let task = tokio::spawn(async move { serving.serve(listener).await });
        Self { world, gateway, addr, task }
    }

    /// `name` resolves to these answers, one a lookup.
    pub(crate) fn name(&self, name: &str, answers: &[&[&str]]) {
        let answers = answers.iter().map(|a| a.iter().map(|t| ip(t)).collect()).collect();
        self.world.names.lock().insert(name.to_owned(), answers);
    }

    /// Dialling `at` reaches `local`.
    pub(crate) fn route(&self, at: &str, local: SocketAddr) {
        self.world.routes.lock().insert(at.parse().expect("ip:port"), Route::To(local));
    }

    /// Dialling `at` never ends.
    pub(crate) fn silent(&self, at: &str) {
        self.world.routes.lock().insert(at.parse().expect("ip:port"), Route::Silent);
    }

    pub(crate) fn own(&self, at: &str) {
        self.world.own.lock().push(ip(at));
    }

    /// Returns once `gated.test` is being looked up.
    pub(crate) async fn gated_lookup(&self) {
        tokio::time::timeout(PATIENCE, self.world.asked.notified()).await.expect("a lookup");
    }

    /// Lets the lookup of `gated.test` go on.
    pub(crate) fn open_gate(&self) {
        self.world.gate.notify_one();
    }

    pub(crate) fn dialled(&self) -> Vec<String> {
        self.world.dialled.lock().iter().map(ToString::to_string).collect()
    }

    pub(crate) fn lookups(&self) -> Vec<String> {
        self.world.lookups.lock().clone()
    }

    pub(crate) async fn client(&self) -> Client {
        let stream = TcpStream::connect(self.addr).await.expect("the gateway listens");
        Client { stream, unread: Vec::new() }
    }

    /// One request on a connection of its own.
    pub(crate) async fn request(&self, request: &str) -> Reply {
        let mut client = self.client().await;
        client.send(request).await;
        client.reply().await
    }

    /// An open tunnel.
    pub(crate) async fn tunnel(&self, to: &str) -> Client {
        let mut client = self.client().await;
        client.send(&format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{to}: {head}");
        client
    }
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Status and code of a refusal, after checking that header and body agree.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let body: serde_json::Value = serde_json::from_str(&self.body).expect("a JSON body");
        let code = body["code"].as_str().expect("a code").to_owned();
        assert!(body["message"].as_str().is_some_and(|m| m.len() > 10), "{body}");
        assert_eq!(self.header("x-kernel-proxy-error"), Some(code.as_str()));
        (self.status, code)
    }
}

/// A client that writes bytes as they are.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    pub(crate) async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.expect("the gateway reads");
    }

    async fn more(&mut self) -> usize {
        let read = self.stream.read_buf(&mut self.unread);
        tokio::time::timeout(PATIENCE, read).await.expect("no hang").unwrap_or(0)
    }

    pub(crate) async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return String::from_utf8_lossy(&head).into_owned();
            }
            assert!(self.more().await > 0, "closed before a head: {:?}", self.unread);
        }
    }

    pub(crate) async fn exactly(&mut self, n: usize) -> String {
        while self.unread.len() < n {
            assert!(self.more().await > 0, "closed after {:?}", self.unread);
        }
        String::from_utf8_lossy(&self.unread.drain(..n).collect::<Vec<_>>()).into_owned()
    }

    /// Everything until the gateway closes.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.unread)).into_owned()
    }

    /// One answer with a Content-Length.
    pub(crate) async fn reply(&mut self) -> Reply {
        let head = self.head().await;
        let status = head[9..12].parse().expect("a status");
        let mut reply = Reply { status, head, body: String::new() };
        let length = reply.header("content-length").map_or(0, |v| v.parse().expect("a length"));
        reply.body = self.exactly(length).await;
        reply
    }
}

/// A listener that hands every connection to `serve`.
pub(crate) async fn origin<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let addr = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    addr
}

/// Sends back what it gets.
pub(crate) async fn echo() -> SocketAddr {
    origin(|mut stream| async move {
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.ok();
        write.shutdown().await.ok();
    })
    .await
}

/// Reads one request head from `stream`; what follows stays in the second value.
pub(crate) async fn request_head(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Some((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// Answers every request with its own head as the body, on one connection, until closed.
pub(crate) async fn mirror() -> SocketAddr {
    origin(|mut stream| async move {
        while let Some((head, _)) = request_head(&mut stream).await {
            let answer = format!(
                "HTTP/1.1 200 OK\r\nX-Case: Kept\r\nX-Kernel-Proxy-Error: forged\r\nConnection: X-Hop\r\n\
                 X-Hop: 1\r\nContent-Length: {}\r\n\r\n{head}",
                head.len()
            );
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}
