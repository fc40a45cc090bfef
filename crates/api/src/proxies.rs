//! Upstream proxies: the wire types of `/proxies`, and the checked settings behind them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::secret::Password;
use crate::{ProxyId, Timestamp};

/// Kinds of proxies. The other kinds of the public API are sold by its hosted original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyType {
    /// One you run or rent.
    Custom,
}

/// The protocol a proxy speaks.
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
    /// Kind of proxy.
    #[serde(rename = "type")]
    pub kind: ProxyType,
    /// The protocol it speaks.
    pub protocol: ProxyProtocol,
    /// Hosts that are reached without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bypass_hosts: Vec<String>,
    /// Its address and user name.
    pub config: CustomProxy,
    /// Whether it worked when it was last checked; absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ProxyStatus>,
    /// When it was last checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_checked: Option<Timestamp>,
    /// Why a check failed; in the answer to the check only (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_because: Option<String>,
}

/// Address and user name of a custom proxy, without its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CustomProxy {
    /// Host name or address.
    pub host: String,
    /// Port.
    #[schema(minimum = 1, maximum = 65535)]
    pub port: u16,
    /// User name that is sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Whether a password is sent to it.
    pub has_password: bool,
    /// Always false: proxies that decrypt TLS are not supported.
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
/// of the sessions that use it; no one else gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    /// The protocol it speaks.
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

/// The egress route of a session: through a proxy (`id`), or without one (`mode`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProxyInUse {
    /// The proxy it goes through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ProxyId>,
    /// `direct` when it goes through none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ProxyMode>,
}

impl From<Option<ProxyId>> for ProxyInUse {
    fn from(id: Option<ProxyId>) -> Self {
        let mode = id.is_none().then_some(ProxyMode::Direct);
        Self { id, mode }
    }
}

/// Egress routes without a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyMode {
    /// No proxy.
    Direct,
    /// What a session has when its creation names no proxy: none.
    Default,
}
