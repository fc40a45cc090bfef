//! What a session may reach. Pure: names and addresses in, verdicts out.
//!
//! ```text
//!            ask(destination)                       admit(destination, address, own)
//!  request ──▶ port, built-in list, localhost ──▶ look up ──▶ one verdict an address ──▶ dial
//!                    │ Refusal                                    │ none left: Blocked
//! ```
//!
//! Before that, `Policy::proxy_for` says by which route a destination is reached: directly, where the above is
//! decided here, or through a proxy, which looks names up itself.
//!
//! An address is judged once more when the policy changes ([`Policy::admit`] again), which is what
//! cuts connections that are no longer allowed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use std::sync::Arc;

use browserd_protocol::{EgressPolicy, Route};
use ipnet::IpNet;

use crate::destination::{Destination, Host, parse_port, split_port};
use crate::proxy::{Proxy, ProxyError};
use crate::ranges::{Scope, scope};
use crate::refusal::Refusal;

/// Most entries `allowed_private_hosts` may have.
pub const ENTRY_LIMIT: usize = 1024;

/// Ports for handing in mail. Closed, because a browser never needs them and spammers do.
pub const MAIL_PORTS: [u16; 3] = [25, 465, 587];

/// Hosts that only the browser's own background services use: component and variations updates,
/// optimization hints. Chromium asks for them in spite of its flags; no page needs them.
pub const BROWSER_SERVICES: [&str; 5] = [
    "update.googleapis.com",
    "edgedl.me.gvt1.com",
    "redirector.gvt1.com",
    "clientservices.googleapis.com",
    "optimizationguide-pa.googleapis.com",
];

/// An entry of `allowed_private_hosts` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("allowed_private_hosts: {entry:?}: {problem}")]
pub struct PolicyError {
    /// The entry, shortened when it is very long.
    pub entry: String,
    /// What is wrong with it and how to write it.
    pub problem: &'static str,
}

/// What an entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// This host by this name, `localhost` included.
    Name(String),
    /// Every name below this suffix (which starts with a dot), not the suffix itself.
    Below(String),
    /// Every destination whose address lies here, however it was named.
    Net(IpNet),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    pattern: Pattern,
    /// None: every port.
    port: Option<u16>,
}

/// What to do about a destination before any address is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// These are its addresses; nothing is to be looked up.
    Known(Vec<IpAddr>),
    /// Look this name up.
    LookUp(String),
}

/// A parsed [`Route`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum EgressRoute {
    #[default]
    Direct,
    Through(Arc<Proxy>),
    Closed,
}

/// A parsed [`EgressPolicy`], and the route of what it allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    entries: Vec<Entry>,
    route: EgressRoute,
}

impl Policy {
    /// Parses the policy of a session.
    ///
    /// # Errors
    /// Names the first entry that is malformed.
    pub fn parse(policy: &EgressPolicy) -> Result<Self, PolicyError> {
        let entries = &policy.allowed_private_hosts;
        if let Some(entry) = entries.get(ENTRY_LIMIT) {
            return Err(PolicyError {
                entry: shorten(entry),
                problem: "is one entry too many, the limit is 1024: use *.suffix or CIDR entries",
            });
        }
        let parse = |text: &String| {
            Entry::parse(text.trim())
                .map_err(|problem| PolicyError { entry: shorten(text), problem })
        };
        let entries = entries.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { entries, route: EgressRoute::Direct })
    }

    /// The same policy with another route.
    ///
    /// # Errors
    /// Names what is wrong with the proxy.
    pub fn with_route(&self, route: &Route) -> Result<Self, ProxyError> {
        let route = match route {
            Route::Direct => EgressRoute::Direct,
            Route::Upstream(upstream) => EgressRoute::Through(Arc::new(Proxy::parse(upstream)?)),
            Route::Closed => EgressRoute::Closed,
        };
        Ok(Self { entries: self.entries.clone(), route })
    }

    /// The same policy with the route of `other`.
    #[must_use]
    pub(crate) fn routed_as(self, other: &Self) -> Self {
        Self { route: other.route.clone(), ..self }
    }

    /// The proxy a destination is reached through; none: directly. What is private by its address or
    /// listed by its name goes directly, since a proxy elsewhere cannot know it.
    ///
    /// # Errors
    /// The refusal, when nothing may leave, or not to this port or name.
    pub(crate) fn proxy_for(&self, dest: &Destination) -> Result<Option<&Arc<Proxy>>, Refusal> {
        let proxy = match &self.route {
            EgressRoute::Direct => return Ok(None),
            EgressRoute::Closed => return Err(Refusal::NoProxy(dest.clone())),
            EgressRoute::Through(proxy) => proxy,
        };
        let private = match &dest.host {
            Host::Address(ip) => scope(*ip) != Scope::Public,
            Host::Name(_) => dest.host.is_localhost() || self.lists(dest),
        };
        if private || proxy.bypasses(&dest.host) {
            return Ok(None);
        }
        self.ask(dest).map(|_| Some(proxy))
    }

    /// Decides what can be decided from the name alone.
    ///
    /// # Errors
    /// The refusal, when the name or port is refused whatever it resolves to.
    pub fn ask(&self, dest: &Destination) -> Result<Ask, Refusal> {
        if MAIL_PORTS.contains(&dest.port) && !self.opens_port(dest) {
            return Err(Refusal::Port(dest.clone()));
        }
        match &dest.host {
            Host::Address(ip) => Ok(Ask::Known(vec![*ip])),
            host if host.is_localhost() => {
                // An IP entry such as 127.0.0.1 does its work in `admit`.
                Ok(Ask::Known(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]))
            }
            Host::Name(name) => {
                if BROWSER_SERVICES.contains(&name.as_str()) && !self.lists_exactly(name) {
                    return Err(Refusal::BrowserService(dest.clone()));
                }
                Ok(Ask::LookUp(name.clone()))
            }
        }
    }

    /// Whether `dest` may be reached at `ip`. `own` says that `ip` belongs to this host, which
    /// makes it private whatever range it is in: what listens there may count on a firewall that
    /// does not see connections from the host itself.
    pub fn admit(&self, dest: &Destination, ip: IpAddr, own: bool) -> bool {
        let by_name = match scope(ip) {
            Scope::Mapped => return false,
            Scope::Public if !own => return true,
            Scope::Public
            | Scope::Loopback
            | Scope::Private
            | Scope::Shared
            | Scope::UniqueLocal => true,
            // A name or a range in the list was not meant to open a credential service.
            Scope::Metadata => return self.lists_address_exactly(ip, dest.port),
            Scope::LinkLocal
            | Scope::Unspecified
            | Scope::Multicast
            | Scope::Reserved
            | Scope::Transition => false,
        };
        self.entries.iter().any(|entry| {
            entry.covers_port(dest.port)
                && match &entry.pattern {
                    Pattern::Net(net) => net.contains(&ip),
                    Pattern::Name(_) | Pattern::Below(_) => by_name && entry.names(&dest.host),
                }
        })
    }

    /// Whether an entry covers this destination by name.
    fn lists(&self, dest: &Destination) -> bool {
        self.entries.iter().any(|entry| entry.covers_port(dest.port) && entry.names(&dest.host))
    }

    /// Whether an entry that spells out the port covers this destination by name or literal.
    fn opens_port(&self, dest: &Destination) -> bool {
        self.entries.iter().any(|entry| entry.port == Some(dest.port) && entry.names(&dest.host))
    }

    fn lists_exactly(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| matches!(&entry.pattern, Pattern::Name(n) if n == name))
    }

    fn lists_address_exactly(&self, ip: IpAddr, port: u16) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.covers_port(port) && entry.pattern == Pattern::Net(IpNet::from(ip)))
    }
}

impl Entry {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty: remove it");
        }
        if text.contains("://") {
            return Err("is a URL: write host or host:port");
        }
        if text == "*" {
            return Err("would open everything: write 0.0.0.0/0 and ::/0 if that is meant");
        }
        if text.contains('/') {
            return Self::parse_net(text);
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Self::of(Host::Address(ip), None);
        }
        let (host, port) = split_port(text).map_err(|e| e.0)?;
        if text.ends_with(':') {
            return Err("has a colon but no port: write host or host:port");
        }
        let port = port.map(parse_port).transpose().map_err(|e| e.0)?;
        if let Some(suffix) = host.strip_prefix("*.") {
            return match Host::parse(suffix) {
                Ok(Host::Name(name)) => {
                    Ok(Self { pattern: Pattern::Below(format!(".{name}")), port })
                }
                Ok(Host::Address(_)) => Err("puts *. before an address: write a CIDR"),
                Err(e) => Err(e.0),
            };
        }
        Self::of(Host::parse(host).map_err(|e| e.0)?, port)
    }

    fn parse_net(text: &str) -> Result<Self, &'static str> {
        let net: IpNet = text
            .parse()
            .map_err(|_| "is not a CIDR: write address/prefix, like 10.1.0.0/16, without a port")?;
        if net.trunc() != net {
            return Err("has bits set after its prefix: write the first address of the range");
        }
        if let IpNet::V6(v6) = net
            && v6.prefix_len() >= 96
            && v6.network().to_ipv4_mapped().is_some()
        {
            return Err("is IPv4 written as IPv6: write the IPv4 range");
        }
        Ok(Self { pattern: Pattern::Net(net), port: None })
    }

    fn of(host: Host, port: Option<u16>) -> Result<Self, &'static str> {
        let pattern = match host {
            Host::Name(name) => Pattern::Name(name),
            Host::Address(ip) if scope(ip) == Scope::Mapped => {
                return Err("is IPv4 written as IPv6: write the IPv4 address");
            }
            Host::Address(ip) => Pattern::Net(ip.into()),
        };
        Ok(Self { pattern, port })
    }

    fn covers_port(&self, port: u16) -> bool {
        self.port.is_none_or(|p| p == port)
    }

    fn names(&self, host: &Host) -> bool {
        self.pattern.names(host)
    }
}

impl Pattern {
    /// A host by its name, or `*.` and a suffix.
    pub(crate) fn of_name(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "must be a host name or *.suffix, without scheme, address or port";
        let (suffix, below) = match text.strip_prefix("*.") {
            Some(suffix) => (suffix, true),
            None => (text, false),
        };
        match Host::parse(suffix) {
            Ok(Host::Name(name)) if below => Ok(Self::Below(format!(".{name}"))),
            Ok(Host::Name(name)) => Ok(Self::Name(name)),
            Ok(Host::Address(_)) | Err(_) => Err(WRONG),
        }
    }

    /// Whether it names this host.
    pub(crate) fn names(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Name(name), Host::Name(asked)) => name == asked,
            (Self::Below(suffix), Host::Name(asked)) => asked.ends_with(suffix.as_str()),
            (Self::Net(net), Host::Address(ip)) => net.contains(ip),
            _ => false,
        }
    }
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
