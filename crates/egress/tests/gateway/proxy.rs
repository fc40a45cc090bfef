//! Through an upstream proxy. The proxies of these tests are a few lines each, and keep what they saw.

use std::net::SocketAddr;
use std::sync::Arc;

use browserd_api::proxies::{ProxyProtocol, Upstream};
use browserd_api::secret::Password;
use browserd_protocol::Route;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::stage::{PUBLIC, Stage};

/// Where the gateway finds the proxy.
const AT: &str = "93.184.215.14:3128";

fn upstream(protocol: ProxyProtocol) -> Upstream {
    Upstream {
        protocol,
        host: PUBLIC.to_owned(),
        port: 3128,
        username: Some("me".to_owned()),
        password: Some(Password::new("hunter2")),
        bypass_hosts: vec!["*.direct.test".to_owned()],
    }
}

fn through(upstream: Upstream) -> Route {
    Route::Upstream(Box::new(upstream))
}

fn connect(to: &str) -> String {
    format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")
}

/// Greets and then says back what it is told.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    at
}

type Seen = Arc<Mutex<Vec<String>>>;

/// An HTTP proxy: it tunnels everything to `to`, answers other requests itself, and asks for a
/// password when that is not `Basic me:hunter2`.
async fn http_proxy(to: SocketAddr) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let seen = Seen::default();
    let notes = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(http_client(stream, to, Arc::clone(&notes)));
        }
    });
    (at, seen)
}

async fn http_client(mut stream: TcpStream, to: SocketAddr, seen: Seen) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8(head).unwrap();
        seen.lock().push(head.clone());
        if !head.to_ascii_lowercase().contains("proxy-authorization: basic bwu6ahvudgvymg==") {
            let no = "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(no.as_bytes()).await;
        } else if head.starts_with("CONNECT refused.test") {
            let _ = stream.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").await;
        } else if head.starts_with("CONNECT ") {
            let mut origin = TcpStream::connect(to).await.unwrap();
            // What the origin says first may come along with the answer.
            stream.write_all(b"HTTP/1.1 200 Yes\r\n\r\nhello ").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut origin).await;
            return;
        } else {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nproxied";
            let _ = stream.write_all(answer).await;
        }
    }
}

/// A SOCKS proxy that wants a password; notes the names it is asked for.
async fn socks_proxy(to: SocketAddr) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let seen = Seen::default();
    let notes = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&notes);
            tokio::spawn(async move { socks_client(stream, to, seen).await });
        }
    });
    (at, seen)
}

async fn socks_client(mut stream: TcpStream, to: SocketAddr, seen: Seen) -> std::io::Result<()> {
    // RFC 1928 section 3, RFC 1929 section 2.
    let methods = [stream.read_u8().await?, stream.read_u8().await?][1];
    let mut offered = vec![0; methods.into()];
    stream.read_exact(&mut offered).await?;
    stream.write_all(if offered.contains(&2) { &[5, 2] } else { &[5, 0xff] }).await?;
    stream.read_u8().await?;
    let mut words = Vec::new();
    for _ in 0..2 {
        let mut word = vec![0; stream.read_u8().await?.into()];
        stream.read_exact(&mut word).await?;
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
    let good = words == ["me", "hunter2"];
    stream.write_all(&[1, u8::from(!good)]).await?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    assert_eq!(request[3], 3, "a name");
    let mut name = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut name).await?;
    let port = stream.read_u16().await?;
    seen.lock().push(format!("{}:{port}", String::from_utf8_lossy(&name)));
    let mut origin = TcpStream::connect(to).await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut origin).await.map(|_| ())
}

#[tokio::test]
async fn tunnels_and_requests_go_through_an_http_proxy() {
    let stage = Stage::new(&[]).await;
    let (proxy, seen) = http_proxy(echo().await).await;
    stage.route(AT, proxy);
    stage.gateway.set_route(&through(upstream(ProxyProtocol::Http))).unwrap();
    let mut tunnel = stage.tunnel("a.test:443").await;
    assert_eq!(tunnel.exactly(6).await, "hello ");
    tunnel.send("ping").await;
    assert_eq!(tunnel.exactly(4).await, "ping");
    let get =
        "GET http://a.test/x?y HTTP/1.1\r\nHost: a.test\r\nProxy-Authorization: Basic bad\r\n\r\n";
    let mut client = stage.client().await;
    for _ in 0..2 {
        client.send(get).await;
        assert_eq!(client.reply().await.body, "proxied");
    }
    let seen = seen.lock().clone();
    assert!(seen[0].starts_with("CONNECT a.test:443 HTTP/1.1\r\n"), "{seen:?}");
    for request in &seen[1..] {
        assert!(request.starts_with("GET http://a.test/x?y HTTP/1.1\r\n"), "{request}");
        assert!(!request.contains("Basic bad"), "{request}");
    }
    // Nobody but the proxy looks names up, and nothing else is dialled.
    assert!(stage.lookups().is_empty());
    assert!(stage.dialled().iter().all(|at| at == AT), "{:?}", stage.dialled());
}

#[tokio::test]
async fn a_socks_proxy_is_given_names() {
    let stage = Stage::new(&[]).await;
    let (proxy, seen) = socks_proxy(echo().await).await;
    stage.route(AT, proxy);
    stage.gateway.set_route(&through(upstream(ProxyProtocol::Socks5))).unwrap();
    let mut tunnel = stage.tunnel("a.test:8443").await;
    tunnel.send("ping").await;
    assert_eq!(tunnel.exactly(4).await, "ping");
    assert_eq!(*seen.lock(), ["a.test:8443"]);
    let wrong = Password::new("wrong");
    let upstream = Upstream { password: Some(wrong), ..upstream(ProxyProtocol::Socks5) };
    stage.gateway.set_route(&through(upstream)).unwrap();
    let refused = stage.request(&connect("a.test:443")).await;
    assert_eq!(refused.refusal(), (502, "provider_rejected".into()));
}

#[tokio::test]
async fn what_a_proxy_refuses_is_told_by_name() {
    let stage = Stage::new(&[]).await;
    let (proxy, _) = http_proxy(echo().await).await;
    stage.route(AT, proxy);
    let get = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n";
    stage.gateway.set_route(&through(upstream(ProxyProtocol::Http))).unwrap();
    let refused = stage.request(&connect("refused.test:443")).await;
    assert_eq!(refused.refusal(), (502, "provider_rejected".into()));
    let password = Some(Password::new("wrong"));
    let wrong = Upstream { password, ..upstream(ProxyProtocol::Http) };
    stage.gateway.set_route(&through(wrong)).unwrap();
    for request in [connect("a.test:443").as_str(), get] {
        let refused = stage.request(request).await;
        assert_eq!(refused.refusal(), (502, "provider_rejected".into()));
        assert!(!refused.head.to_ascii_lowercase().contains("proxy-authenticate"));
    }
    // The proxy is dialled under the same rules as every other destination.
    for (host, code) in
        [("10.0.0.1", "provider_unreachable"), ("127.0.0.1", "provider_unreachable")]
    {
        let private = Upstream { host: host.into(), ..upstream(ProxyProtocol::Http) };
        stage.gateway.set_route(&through(private)).unwrap();
        let refused = stage.request(&connect("a.test:443")).await;
        assert_eq!(refused.refusal(), (502, code.into()));
        assert!(refused.body.contains("not at a public address"), "{}", refused.body);
    }
    // This one says back what should be answered in TLS.
    stage.route(AT, echo().await);
    stage.gateway.set_route(&through(upstream(ProxyProtocol::Https))).unwrap();
    let refused = stage.request(&connect("a.test:443")).await;
    assert_eq!(refused.refusal(), (502, "provider_unreachable".into()));
}

#[tokio::test]
async fn private_listed_and_bypassing_hosts_go_directly() {
    let stage = Stage::new(&["10.0.0.7:80", "intern.test"]).await;
    let (proxy, seen) = http_proxy(echo().await).await;
    let (other, _) = http_proxy(echo().await).await;
    stage.route(AT, proxy);
    stage.gateway.set_route(&through(upstream(ProxyProtocol::Http))).unwrap();
    stage.name("intern.test", &[&["10.0.0.8"]]);
    stage.name("a.direct.test", &[&["93.184.215.15"]]);
    for at in ["10.0.0.7:80", "10.0.0.8:80", "93.184.215.15:80"] {
        stage.route(at, other);
    }
    for host in ["10.0.0.7", "intern.test", "a.direct.test"] {
        // Who answers wants to be paid, which an origin may want too.
        let get = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(stage.request(&get).await.status, 407, "{host}");
    }
    assert!(seen.lock().is_empty());
    for host in ["10.0.0.9", "127.0.0.1", "localhost", "[::1]", "169.254.169.254"] {
        let get = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(
            stage.request(&get).await.refusal(),
            (403, "destination_blocked".into()),
            "{host}"
        );
    }
    let mail = stage.request(&connect("a.test:25")).await;
    assert_eq!(mail.refusal(), (403, "network_policy_denied".into()));
    assert!(seen.lock().is_empty());
}

#[tokio::test]
async fn another_way_cuts_what_went_the_old_one() {
    let stage = Stage::new(&[]).await;
    let (proxy, _) = http_proxy(echo().await).await;
    stage.route(AT, proxy);
    stage.route("93.184.215.15:443", echo().await);
    stage.name("a.direct.test", &[&["93.184.215.15"]]);
    stage.name("a.test", &[&["93.184.215.15"]]);
    let route = through(upstream(ProxyProtocol::Http));
    stage.gateway.set_route(&route).unwrap();
    let mut proxied = stage.tunnel("a.test:443").await;
    let mut bypassing = stage.tunnel("a.direct.test:443").await;
    // The same again changes nothing.
    stage.gateway.set_route(&route).unwrap();
    for (tunnel, said) in [(&mut proxied, "hello ping"), (&mut bypassing, "ping")] {
        tunnel.send("ping").await;
        assert_eq!(tunnel.exactly(said.len()).await, said);
    }
    stage.gateway.set_route(&Route::Direct).unwrap();
    assert_eq!(proxied.rest().await, "");
    bypassing.send("ping").await;
    assert_eq!(bypassing.exactly(4).await, "ping");
    let mut direct = stage.tunnel("a.test:443").await;
    stage.gateway.set_route(&Route::Closed).unwrap();
    assert_eq!((direct.rest().await, bypassing.rest().await), (String::new(), String::new()));
    let refused = stage.request(&connect("a.test:443")).await;
    assert_eq!(refused.refusal(), (503, "proxy_unavailable".into()));
    // A proxy that cannot be used leaves things as they are.
    let broken = Upstream { port: 0, ..upstream(ProxyProtocol::Http) };
    assert!(stage.gateway.set_route(&through(broken)).is_err());
    let refused = stage.request(&connect("a.test:443")).await;
    assert_eq!(refused.refusal(), (503, "proxy_unavailable".into()));
}

#[tokio::test]
async fn a_way_that_changes_under_a_connection_is_tried_anew() {
    let stage = Stage::new(&[]).await;
    let (proxy, seen) = http_proxy(echo().await).await;
    stage.route(AT, proxy);
    stage.name("gated.test", &[&["93.184.215.15"]]);
    stage.route("93.184.215.15:80", echo().await);
    let mut client = stage.client().await;
    client.send("CONNECT gated.test:80 HTTP/1.1\r\n\r\n").await;
    stage.gated_lookup().await;
    stage.gateway.set_route(&through(upstream(ProxyProtocol::Http))).unwrap();
    stage.open_gate();
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(client.exactly(6).await, "hello ");
    assert!(seen.lock()[0].starts_with("CONNECT gated.test:80 "));
}
