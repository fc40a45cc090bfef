//! `allowed_private_hosts` over sockets, and changing it while connections are open.

use std::net::SocketAddr;
use std::sync::Arc;

use browserd_egress::{Dialer, Gateway, HostDialer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::stage::{PUBLIC, Stage, echo, entries, ip};

#[tokio::test]
async fn listed_hosts_open_what_they_say() {
    let stage = Stage::new(&["app.test", "127.0.0.1:3000", "*.corp.test", "10.9.0.0/16"]).await;
    let origin = echo().await;
    for at in ["127.0.0.1:80", "127.0.0.1:3000", "10.1.0.1:80", "10.9.8.7:80"] {
        stage.route(at, origin);
    }
    stage.name("app.test", &[&["127.0.0.1"]]);
    stage.name("db.corp.test", &[&["10.1.0.1"]]);
    stage.name("other.test", &[&["10.9.8.7"]]);
    stage.name("stranger.test", &[&["10.1.0.1"]]);
    for to in
        ["app.test:80", "localhost:3000", "127.0.0.1:3000", "db.corp.test:80", "other.test:80"]
    {
        stage.tunnel(to).await;
    }
    for to in [
        "127.0.0.1:80",
        "localhost:80",
        "10.1.0.1:80",
        "stranger.test:80",
        "corp.test.localhost:80",
    ] {
        let reply = stage.request(&format!("CONNECT {to} HTTP/1.1\r\n\r\n")).await;
        assert_eq!(reply.refusal(), (403, "destination_blocked".to_owned()), "{to}");
    }
}

#[tokio::test]
async fn a_new_policy_holds_at_once_and_cuts_what_it_forbids() {
    let stage = Stage::new(&["app.test"]).await;
    let origin = echo().await;
    stage.route("10.0.0.1:80", origin);
    stage.route(&format!("{PUBLIC}:80"), origin);
    stage.name("app.test", &[&["10.0.0.1"]]);
    let mut private = stage.tunnel("app.test:80").await;
    let mut public = stage.tunnel(&format!("{PUBLIC}:80")).await;

    // An invalid policy changes nothing.
    assert!(stage.gateway.set_policy(&entries(&["http://x"])).is_err());
    private.send("a").await;
    assert_eq!(private.exactly(1).await, "a");

    // One that still allows it changes nothing either.
    stage.gateway.set_policy(&entries(&["app.test", "b.test"])).expect("valid");
    private.send("b").await;
    assert_eq!(private.exactly(1).await, "b");

    stage.gateway.set_policy(&entries(&[])).expect("valid");
    assert_eq!(private.rest().await, "");
    public.send("c").await;
    assert_eq!(public.exactly(1).await, "c");
    let reply = stage.request("CONNECT app.test:80 HTTP/1.1\r\n\r\n").await;
    assert_eq!(reply.refusal().0, 403);

    stage.gateway.set_policy(&entries(&["app.test"])).expect("valid");
    stage.tunnel("app.test:80").await;
}

#[tokio::test]
async fn a_policy_that_changes_during_the_lookup_counts() {
    let stage = Stage::new(&["gated.test"]).await;
    stage.name("gated.test", &[&["10.0.0.1"]]);
    stage.route("10.0.0.1:80", echo().await);
    let mut client = stage.client().await;
    client.send("CONNECT gated.test:80 HTTP/1.1\r\n\r\n").await;
    stage.gated_lookup().await;
    stage.gateway.set_policy(&entries(&[])).expect("valid");
    stage.open_gate();
    assert_eq!(client.reply().await.refusal(), (403, "destination_blocked".to_owned()));
}

#[tokio::test]
async fn a_dropped_gateway_closes_its_connections() {
    let gateway = Gateway::new(&entries(&["127.0.0.1"])).expect("valid");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let addr = listener.local_addr().expect("its address");
    let origin = echo().await;
    // The real dialler and resolver, on loopback.
    let mut client = {
        let serving = gateway.serve(listener);
        tokio::pin!(serving);
        tokio::select! {
            () = &mut serving => unreachable!("serves until dropped"),
            client = tunnel_through(addr, origin) => client,
        }
    };
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.ok();
    assert!(rest.is_empty());
    assert!(TcpStream::connect(addr).await.is_err());
}

async fn tunnel_through(gateway: SocketAddr, origin: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(gateway).await.expect("the gateway listens");
    // By name: localhost is never looked up.
    let request = format!("CONNECT localhost:{} HTTP/1.1\r\n\r\nping", origin.port());
    client.write_all(request.as_bytes()).await.expect("the gateway reads");
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\nping") {
        assert!(client.read_buf(&mut seen).await.expect("an answer") > 0, "{seen:?}");
    }
    assert!(seen.starts_with(b"HTTP/1.1 200"));
    client
}

#[tokio::test]
async fn malformed_entries_are_refused_by_name() {
    let error = Gateway::new(&entries(&["ok.test", "10.0.0.1/8"])).expect_err("malformed");
    assert!(error.to_string().contains("10.0.0.1/8"), "{error}");
}

#[test]
fn the_host_knows_its_own_addresses() {
    let dialer: Arc<dyn Dialer> = Arc::new(HostDialer);
    assert!(dialer.is_own(ip("127.0.0.1")));
    assert!(dialer.is_own(ip("::1")) || std::net::UdpSocket::bind("[::1]:0").is_err());
    // Asking sends nothing: a UDP socket only picks its source address.
    assert!(!dialer.is_own(ip("192.0.2.1")));
}
