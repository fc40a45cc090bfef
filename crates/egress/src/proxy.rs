//! An upstream proxy: what it is called by, and how a connection through it is opened.
//!
//! ```text
//!   connection to the proxy ─ https: TLS ─┬─ plain HTTP: as it is, requests name the whole URL
//!                                         ├─ http(s): CONNECT host:port ─▶ 2xx ─┐
//!                                         └─ socks5: host and port ─▶ granted ──┴─▶ tunnel
//! ```
//!
//! Names go to the proxy as they are: it looks them up, and nothing here does.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use base64_simd::STANDARD;
use browserd_api::proxies::{ProxyProtocol, Upstream};
use browserd_api::secret::Password;
use bytes::Bytes;
use http::header::{HOST, PROXY_AUTHORIZATION};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error as Socks, TargetAddr};

use crate::destination::{Destination, Host};
use crate::forward::Driver;
use crate::policy::Pattern;
use crate::refusal::{Denial, Refusal, Stage};
use crate::stream::Stream;

/// Largest head of a proxy's answer to CONNECT, bytes; the least hyper takes.
const HEAD: usize = 8 * 1024;

/// Longest user name or password, bytes (RFC 1929, section 2).
const CREDENTIAL_LIMIT: usize = 255;

/// Most hosts that bypass one proxy.
const BYPASS_LIMIT: usize = 100;

/// A proxy that cannot be used, and what about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ProxyError {
    /// The field to blame: `host`, `port`, `username`, `password` or `bypass_hosts`.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Bytes both ways.
    Tunnel,
    /// Requests over plain HTTP, which an HTTP proxy takes without a tunnel.
    Requests,
}

/// A parsed [`Upstream`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    protocol: ProxyProtocol,
    /// Where it is.
    pub(crate) at: Destination,
    username: String,
    password: Option<Password>,
    /// What an HTTP proxy is shown.
    authorization: Option<HeaderValue>,
    bypass: Vec<Pattern>,
}

/// Looks at what a client says of a proxy.
///
/// # Errors
/// Names the first field that cannot be used.
pub fn check(upstream: &Upstream) -> Result<(), ProxyError> {
    Proxy::parse(upstream).map(|_| ())
}

impl Proxy {
    pub(crate) fn parse(upstream: &Upstream) -> Result<Self, ProxyError> {
        let error = |field, problem: &str| ProxyError { field, problem: problem.to_owned() };
        let host = Host::parse(&upstream.host).map_err(|bad| error("host", bad.0))?;
        if upstream.port == 0 {
            return Err(error("port", "must be from 1 to 65535"));
        }
        let username = upstream.username.clone().unwrap_or_default();
        let password = upstream.password.as_ref().map_or("", Password::expose);
        for (field, text) in [("username", username.as_str()), ("password", password)] {
            if text.len() > CREDENTIAL_LIMIT {
                return Err(error(field, "must have at most 255 bytes"));
            }
            if text.chars().any(char::is_control) {
                return Err(error(field, "must not have control characters"));
            }
        }
        if upstream.password.is_some() && username.is_empty() {
            return Err(error("password", "needs a username beside it"));
        }
        let http = upstream.protocol != ProxyProtocol::Socks5;
        if http && username.contains(':') {
            return Err(error("username", "must not have a colon, which ends it in HTTP"));
        }
        if !http && !username.is_empty() && password.is_empty() {
            return Err(error("password", "must not be empty beside a username with SOCKS5"));
        }
        let authorization = (http && !username.is_empty()).then(|| {
            let text = STANDARD.encode_to_string(format!("{username}:{password}"));
            // Base64 is always a header's value.
            let value = HeaderValue::try_from(format!("Basic {text}"));
            let mut value = value.unwrap_or(HeaderValue::from_static(""));
            value.set_sensitive(true);
            value
        });
        if upstream.bypass_hosts.len() > BYPASS_LIMIT {
            return Err(error("bypass_hosts", "must have at most 100 entries"));
        }
        let bypass = upstream.bypass_hosts.iter().map(|text| {
            Pattern::of_name(text).map_err(|problem| ProxyError {
                field: "bypass_hosts",
                problem: format!("{:?} {problem}", text.chars().take(80).collect::<String>()),
            })
        });
        let bypass = bypass.collect::<Result<_, _>>()?;
        Ok(Self {
            protocol: upstream.protocol,
            at: Destination { host, port: upstream.port },
            username,
            password: upstream.password.clone(),
            authorization,
            bypass,
        })
    }

    /// Whether a host is reached without it.
    pub(crate) fn bypasses(&self, host: &Host) -> bool {
        self.bypass.iter().any(|pattern| pattern.names(host))
    }

    /// Whether a connection for this purpose carries requests that name the whole URL.
    pub(crate) fn takes_requests(&self, purpose: Purpose) -> bool {
        purpose == Purpose::Requests && self.protocol != ProxyProtocol::Socks5
    }

    /// What such requests carry besides.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Makes a connection to the proxy fit for `dest`. Also answers with what came along
    /// early. The caller bounds the time.
    pub(crate) async fn open(
        &self,
        stream: TcpStream,
        dest: &Destination,
        purpose: Purpose,
    ) -> Result<(Stream, Bytes), Refusal> {
        let stream = match self.protocol {
            ProxyProtocol::Https => self.within_tls(stream, dest).await?,
            ProxyProtocol::Http | ProxyProtocol::Socks5 => Stream::Bare(stream),
        };
        if self.takes_requests(purpose) {
            return Ok((stream, Bytes::new()));
        }
        match self.protocol {
            ProxyProtocol::Socks5 => Ok((self.by_socks(stream, dest).await?, Bytes::new())),
            ProxyProtocol::Http | ProxyProtocol::Https => self.by_connect(stream, dest).await,
        }
    }

    async fn within_tls(&self, stream: TcpStream, dest: &Destination) -> Result<Stream, Refusal> {
        let denied = |denial| Refusal::Proxy(dest.clone(), denial);
        let name = match &self.at.host {
            Host::Name(name) => ServerName::try_from(name.clone()),
            Host::Address(ip) => Ok(ServerName::IpAddress((*ip).into())),
        };
        let name = name.map_err(|_| denied(Denial::Untrusted))?;
        let config = tls().map_err(|()| denied(Denial::Untrusted))?;
        let secured = TlsConnector::from(config).connect(name, stream).await;
        secured.map(|stream| Stream::Tls(Box::new(stream))).map_err(|error| {
            tracing::warn!(
                %error,
                proxy = %self.at,
                "TLS with the upstream proxy failed; this host must trust the proxy's certificate"
            );
            denied(Denial::Untrusted)
        })
    }

    async fn by_connect(
        &self,
        stream: Stream,
        dest: &Destination,
    ) -> Result<(Stream, Bytes), Refusal> {
        let broken = |_| Refusal::Proxy(dest.clone(), Denial::Unreachable);
        let (mut sender, connection) = Builder::new()
            .max_buf_size(HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let _driver = Driver::of(connection.with_upgrades());
        let mut request = Request::connect(dest.to_string()).header(HOST, dest.to_string());
        if let Some(authorization) = &self.authorization {
            request = request.header(PROXY_AUTHORIZATION, authorization.clone());
        }
        let request = request.body(Empty::<Bytes>::new());
        let request = request.map_err(|_| Refusal::Proxy(dest.clone(), Denial::Unreachable))?;
        let mut answer = sender.send_request(request).await.map_err(broken)?;
        if !answer.status().is_success() {
            return Err(refused(dest, answer.status()));
        }
        let upgraded = hyper::upgrade::on(&mut answer).await.map_err(broken)?;
        let parts = upgraded.downcast::<TokioIo<Stream>>();
        let parts = parts.map_err(|_| Refusal::Proxy(dest.clone(), Denial::Unreachable))?;
        Ok((parts.io.into_inner(), parts.read_buf))
    }

    async fn by_socks(&self, stream: Stream, dest: &Destination) -> Result<Stream, Refusal> {
        let to = match &dest.host {
            Host::Name(name) => TargetAddr::Domain(name.as_str().into(), dest.port),
            Host::Address(ip) => TargetAddr::Ip(SocketAddr::new(*ip, dest.port)),
        };
        let opened = match &self.password {
            None => Socks5Stream::connect_with_socket(stream, to).await,
            Some(password) => {
                let (name, secret) = (self.username.as_str(), password.expose());
                Socks5Stream::connect_with_password_and_socket(stream, to, name, secret).await
            }
        };
        opened.map(Socks5Stream::into_inner).map_err(|error| match error {
            Socks::HostUnreachable
            | Socks::NetworkUnreachable
            | Socks::ConnectionRefused
            | Socks::GeneralSocksServerFailure => Refusal::Connect(dest.clone()),
            Socks::TtlExpired => Refusal::Timeout(dest.clone(), Stage::Connect),
            Socks::PasswordAuthFailure(_)
            | Socks::AuthorizationRequired
            | Socks::NoAcceptableAuthMethods
            | Socks::ConnectionNotAllowedByRuleset => {
                Refusal::Proxy(dest.clone(), Denial::Rejected)
            }
            _ => Refusal::Proxy(dest.clone(), Denial::Unreachable),
        })
    }
}

/// What a proxy's answer means that opens no tunnel.
pub(crate) fn refused(dest: &Destination, status: StatusCode) -> Refusal {
    match status {
        StatusCode::GATEWAY_TIMEOUT => Refusal::Timeout(dest.clone(), Stage::Connect),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE => Refusal::Connect(dest.clone()),
        _ => Refusal::Proxy(dest.clone(), Denial::Rejected),
    }
}

/// What is believed of a proxy's certificate: the authorities this host trusts. Read once.
fn tls() -> Result<Arc<ClientConfig>, ()> {
    static CONFIG: OnceLock<Option<Arc<ClientConfig>>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(
                %error,
                "a certificate in this host's trust store cannot be read and is left out"
            );
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            tracing::error!(
                "this host trusts no certificate authority, so https upstream proxies cannot be used; \
                 install the CA certificates of the distribution"
            );
            return None;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Some(Arc::new(config))
    });
    config.clone().ok_or(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream() -> Upstream {
        Upstream {
            protocol: ProxyProtocol::Http,
            host: "proxy.example".into(),
            port: 3128,
            username: None,
            password: None,
            bypass_hosts: Vec::new(),
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let with = |change: fn(&mut Upstream)| {
            let mut upstream = upstream();
            change(&mut upstream);
            check(&upstream).err().map(|error| error.field)
        };
        assert_eq!(with(|_| ()), None);
        assert_eq!(with(|up| up.host = "a b".into()), Some("host"));
        assert_eq!(with(|up| up.port = 0), Some("port"));
        assert_eq!(with(|up| up.username = Some("a:b".into())), Some("username"));
        assert_eq!(with(|up| up.username = Some("a\r\nb".into())), Some("username"));
        assert_eq!(with(|up| up.password = Some(Password::new("x"))), Some("password"));
        let socks = |up: &mut Upstream| {
            up.protocol = ProxyProtocol::Socks5;
            up.username = Some("a:b".into());
        };
        assert_eq!(with(socks), Some("password"));
        for bad in ["10.0.0.1", "a:80", "*.10.0.0.1", "", "*", "http://a"] {
            let mut upstream = upstream();
            upstream.bypass_hosts = vec![bad.into()];
            assert_eq!(check(&upstream).unwrap_err().field, "bypass_hosts", "{bad}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let secret = Password::new("hunter2");
        let upstream =
            Upstream { username: Some("me".into()), password: Some(secret), ..upstream() };
        let parsed = Proxy::parse(&upstream).unwrap();
        assert_eq!(parsed.authorization().unwrap(), "Basic bWU6aHVudGVyMg==");
        let printed = format!("{parsed:?} {upstream:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("bWU6aHVudGVyMg"), "{printed}");
    }

    #[test]
    fn some_hosts_bypass_it() {
        let bypass_hosts = vec!["Direct.example".into(), "*.inside.example".into()];
        let parsed = Proxy::parse(&Upstream { bypass_hosts, ..upstream() }).unwrap();
        let bypasses = |host| parsed.bypasses(&Host::parse(host).unwrap());
        assert!(bypasses("direct.example") && bypasses("a.inside.example"));
        assert!(!bypasses("inside.example") && !bypasses("a.direct.example"));
    }
}
