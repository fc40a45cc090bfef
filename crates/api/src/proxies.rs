//! Upstream proxies: the wire types of `/proxies`, and the checked settings behind them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::secret::Password;
use crate::{ProxyId, Timestamp};

/// Kinds of proxies of the public API. The others are sold by its hosted original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyType {
    /// One you run or rent.
    Custom,
}

/// What is spoken with a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyProtocol {
    /// HTTP, unencrypted up to the proxy.
    Http,
    /// HTTP within TLS.
    Https,
    /// SOCKS 5 (RFC 1928); names are looked up by the proxy (extension).
    Socks5,
}

/// A proxy as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proxy {
    /// Id, usable wherever a path says `{id_or_name}`.
    pub id: ProxyId,
    /// Name; several proxies may have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: ProxyType,
    /// What is spoken with it.
    pub protocol: ProxyProtocol,
    /// Hosts that are reached without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bypass_hosts: Vec<String>,
    /// Where it is.
    pub config: CustomProxy,
    /// Whether it worked when it was last checked; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ProxyStatus>,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_checked: Option<Timestamp>,
    /// Why a check failed; in the answer to the check only (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_because: Option<String>,
}

/// Where a custom proxy is, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CustomProxy {
    /// Host name or address.
    pub host: String,
    /// Port.
    #[schema(minimum = 1, maximum = 65535)]
    pub port: u16,
    /// User name it is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Whether it is shown a password.
    pub has_password: bool,
    /// Always false: proxies that open up TLS are not supported.
    pub has_ca_bundle: bool,
}

/// How a check of a proxy went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyStatus {
    /// It opened a connection.
    Available,
    /// It did not.
    Unavailable,
}

/// Everything needed to go through a proxy, checked. Kept with the proxy's row and told the gateways
/// of the sessions that use it, and nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// What is spoken with it.
    pub protocol: ProxyProtocol,
    /// Host name or address, in its usual spelling (IPv6 in brackets).
    pub host: String,
    /// Port.
    pub port: u16,
    /// User name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// Hosts reached without it: names, or `*.suffix` for every name below one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bypass_hosts: Vec<String>,
}

/// How a session goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProxyInUse {
    /// Through this proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ProxyId>,
    /// Without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ProxyMode>,
}

impl From<Option<ProxyId>> for ProxyInUse {
    fn from(id: Option<ProxyId>) -> Self {
        let mode = id.is_none().then_some(ProxyMode::Direct);
        Self { id, mode }
    }
}

/// Ways out that need no proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyMode {
    /// No proxy.
    Direct,
    /// What sessions have that ask for nothing: no proxy.
    Default,
}
