//! What a proxy answers.

use std::io;
use std::time::Duration;

use browserd_api::proxies::{ProxyProtocol, Upstream};
use browserd_api::secret::Password;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::runtime::block_on;
use crate::destination::Destination;
use crate::proxy::{Proxy, Purpose};
use crate::refusal::Refusal;

/// More than any input needs on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes a proxy says, of the kind the first one chooses: they open a tunnel only if they say so, and
/// everything else is a refusal that blames the proxy or the destination.
pub(super) fn answers(data: &[u8]) {
    let Some((kind, answer)) = data.split_first() else { return };
    let protocol = if kind % 2 == 0 { ProxyProtocol::Http } else { ProxyProtocol::Socks5 };
    let opened = block_on(async { tokio::time::timeout(PATIENCE, open(protocol, answer)).await });
    match opened.expect("it ends").unwrap() {
        Ok(()) if protocol == ProxyProtocol::Http => {
            assert!(answer.windows(10).any(is_success), "{answer:?}");
        }
        Ok(()) => assert_eq!(answer.first(), Some(&5), "{answer:?}"),
        Err(refusal) => assert!(
            matches!(refusal, Refusal::Proxy(..) | Refusal::Connect(_) | Refusal::Timeout(..)),
            "{refusal:?}"
        ),
    }
}

/// How a status line of 2xx begins. Blank lines and informational answers may stand before it
/// (RFC 9112, section 2.2; RFC 9110, section 15.2).
fn is_success(line: &[u8]) -> bool {
    line.starts_with(b"HTTP/1.") && line.ends_with(b" 2")
}

async fn open(protocol: ProxyProtocol, answer: &[u8]) -> io::Result<Result<(), Refusal>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    let (mut proxy, _) = listener.accept().await?;
    let answer = answer.to_owned();
    let spoken = tokio::spawn(async move {
        // It may be hung up on before everything is written.
        let _ = proxy.write_all(&answer).await;
        let _ = proxy.shutdown().await;
        let mut heard = [0; 4096];
        while let Ok(1..) = proxy.read(&mut heard).await {}
    });
    let upstream = Upstream {
        protocol,
        host: "proxy.example".to_owned(),
        port: 1,
        username: Some("me".to_owned()),
        password: Some(Password::new("hunter2")),
        bypass_hosts: Vec::new(),
    };
    let proxy = Proxy::parse(&upstream).map_err(io::Error::other)?;
    let dest = Destination::parse("a.example:443", None).map_err(io::Error::other)?;
    let opened = proxy.open(stream, &dest, Purpose::Tunnel).await.map(drop);
    spoken.abort();
    Ok(opened)
}
