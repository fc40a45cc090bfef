//! The gateway as a whole, at a socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use browserd_protocol::EgressPolicy;
use parking_lot::Mutex;
use simple_dns::rdata::RData;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::runtime::block_on;
use crate::policy::MAIL_PORTS;
use crate::ranges::{Scope, scope};
use crate::{BoxFuture, Dialer, Gateway, Limits, Resolver};

/// What the origin answers; the first two headers are not for clients.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nproxy-authenticate: forged\r\nx-kernel-proxy-error: \
    forged\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
/// Most bytes of what a client sends.
const MOST: usize = 32 << 10;
/// More than any input needs on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Names lead to an address in the private network and to one that is not.
struct Names;

impl Resolver for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let own = name == "localhost" || name.ends_with(".localhost");
        assert!(name.parse::<IpAddr>().is_err() && !own, "{name} was looked up");
        let private = Ipv4Addr::new(10, 0, 0, 1).into();
        Box::pin(async move { Ok(vec![private, Ipv4Addr::new(93, 184, 216, 34).into()]) })
    }
}

/// Every connection ends at the one origin; where it was to go is checked.
struct Origin {
    at: SocketAddr,
}

impl Dialer for Origin {
    fn is_own(&self, _: IpAddr) -> bool {
        false
    }

    fn dial(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        assert_eq!(scope(addr.ip()), Scope::Public, "{addr} was dialled");
        assert!(!MAIL_PORTS.contains(&addr.port()) && addr.port() != 0, "{addr} was dialled");
        Box::pin(TcpStream::connect(self.at))
    }
}

/// Bytes of a client: no private address is dialled, an origin sees no header that was for the
/// gateway, a client none that is the gateway's, and every connection ends.
pub(super) fn gateway(data: &[u8]) {
    let data = &data[..data.len().min(MOST)];
    let outcome = block_on(async { tokio::time::timeout(PATIENCE, exchange(data)).await });
    let (seen, answered) = outcome.expect("the connection ends").unwrap();
    let tunnel = find(data, b"connect") || find(data, b"upgrade");
    if !tunnel {
        for heads in seen.split_inclusive(|byte| *byte == b'\n') {
            let name = heads.split(|byte| *byte == b':').next().unwrap_or_default();
            assert!(!name.eq_ignore_ascii_case(b"proxy-authorization") || body(data), "{heads:?}");
        }
        assert!(!find(&answered, b"forged"), "{}", String::from_utf8_lossy(&answered));
    }
}

/// A datagram to where DNS questions come in: the answer is to what was asked, and every address in it stands
/// for a name or is the session's own loopback.
pub(super) fn dns(data: &[u8]) {
    let dialer = Arc::new(Origin { at: SocketAddr::from(([127, 0, 0, 1], 9)) });
    let gateway =
        Gateway::with_parts(&EgressPolicy::default(), Arc::new(Names), dialer, Limits::default());
    let shared = gateway.unwrap().shared;
    let Some(answer) = block_on(crate::dns::answer(&shared, data)) else { return };
    assert_eq!(answer.get(..2), data.get(..2));
    let answer = simple_dns::Packet::parse(&answer).expect("an answer can be read");
    assert!(answer.has_flags(simple_dns::PacketFlag::RESPONSE) && answer.questions.len() == 1);
    for record in answer.answers {
        let RData::A(ip) = record.rdata else { continue };
        let ip = Ipv4Addr::from(ip.address);
        assert!(ip == Ipv4Addr::LOCALHOST || shared.names.of(ip).is_some(), "{ip}");
    }
}

/// Whether requests may have bodies, in which anything can stand.
fn body(data: &[u8]) -> bool {
    find(data, b"content-length") || find(data, b"transfer-encoding")
}

fn find(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word))
}

/// What the origin saw, and what the client was answered.
async fn exchange(data: &[u8]) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let origin = TcpListener::bind("127.0.0.1:0").await?;
    let dialer = Arc::new(Origin { at: origin.local_addr()? });
    let seen = Arc::new(Mutex::new(Vec::new()));
    let gateway = Gateway::with_parts(
        &EgressPolicy::default(),
        Arc::new(Names),
        dialer,
        Limits { half_closed: Duration::from_millis(200), ..Limits::default() },
    );
    let gateway = gateway.map_err(io::Error::other)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    tokio::spawn(async move { gateway.serve(listener).await });
    tokio::spawn(answer(origin, Arc::clone(&seen)));
    let mut client = TcpStream::connect(at).await?;
    // It may be hung up on before everything is written.
    let _ = client.write_all(data).await;
    let _ = client.shutdown().await;
    let mut answered = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = client.read(&mut piece).await {
        answered.extend_from_slice(&piece[..read]);
    }
    let seen = seen.lock().clone();
    Ok((seen, answered))
}

/// Answers everyone once a head has come, and reads on until they hang up.
async fn answer(origin: TcpListener, seen: Arc<Mutex<Vec<u8>>>) {
    while let Ok((mut stream, _)) = origin.accept().await {
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let (mut own, mut piece) = (Vec::new(), [0; 4096]);
            let mut answered = false;
            while let Ok(read @ 1..) = stream.read(&mut piece).await {
                own.extend_from_slice(&piece[..read]);
                seen.lock().extend_from_slice(&piece[..read]);
                if !answered && find(&own, b"\r\n\r\n") {
                    answered = true;
                    let _ = stream.write_all(ANSWER).await;
                    let _ = stream.shutdown().await;
                }
            }
        });
    }
}
