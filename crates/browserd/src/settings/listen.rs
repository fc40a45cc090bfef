//! Where the API listens: `127.0.0.1:7878`, `localhost:7878`, or `:7878` for every address of this machine.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::Deserialize;

const EXPECTED: &str = "write an address and a port, such as 127.0.0.1:7878, localhost:7878, or :7878 for every address";

/// Where to listen, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Listen {
    /// On one address, or on every address of its family.
    Address(SocketAddr),
    /// On an address that a name has.
    Name(String, u16),
    /// On every address there is.
    Everywhere(u16),
}

impl Listen {
    /// Whether clients of other machines may come without one address having been chosen for them.
    pub(super) fn is_everywhere(&self) -> bool {
        match self {
            Self::Address(address) => address.ip().is_unspecified(),
            Self::Name(..) => false,
            Self::Everywhere(_) => true,
        }
    }

    /// Whether only this machine can reach it.
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.ip().is_loopback(),
            Self::Name(name, _) => is_local(name),
            Self::Everywhere(_) => false,
        }
    }

    /// The addresses to try, in this order.
    pub(crate) async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let everywhere = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        Ok(match self {
            Self::Address(address) => vec![*address],
            // The first one takes IPv4 as well, where there is IPv6 at all.
            Self::Everywhere(port) => everywhere.map(|ip| SocketAddr::new(ip, *port)).to_vec(),
            Self::Name(name, port) => {
                let mut found: Vec<SocketAddr> =
                    tokio::net::lookup_host((name.as_str(), *port)).await?.collect();
                // `localhost` has two. More programs write 127.0.0.1 than [::1].
                found.sort_by_key(SocketAddr::is_ipv6);
                found
            }
        })
    }
}

/// Whether a name means this machine itself (RFC 6761, section 6.3).
pub(super) fn is_local(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// A host name: letters, digits and hyphens between dots, and not a number, which resolvers take for an address.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253
        && text.trim_end_matches('.').split('.').all(label)
        && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && !text.to_ascii_lowercase().starts_with("0x")
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let (host, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
        let port = port.parse().map_err(|_| EXPECTED)?;
        match host {
            "" => Ok(Self::Everywhere(port)),
            name if is_name(name) => Ok(Self::Name(name.to_owned(), port)),
            _ => Err(EXPECTED),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Everywhere(port) => write!(f, ":{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_names_and_ports_alone() {
        for (text, everywhere, loopback) in [
            ("127.0.0.1:7878", false, true),
            ("[::1]:7878", false, true),
            ("192.0.2.7:80", false, false),
            ("0.0.0.0:7878", true, false),
            ("[::]:7878", true, false),
            (":7878", true, false),
            ("localhost:7878", false, true),
            ("LOCALHOST.:7878", false, true),
            ("browsers.example.org:0", false, false),
        ] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!(listen.to_string(), text);
            assert_eq!(
                (listen.is_everywhere(), listen.is_loopback()),
                (everywhere, loopback),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "7878",
            "localhost",
            "localhost:",
            "localhost:65536",
            "a b:1",
            "a/b:1",
            "::1:7878",
            "127.1:7878",
            "0:7878",
            "0x7f000001:1",
            "300.0.0.1:1",
            "-:-1",
            "a..b:1",
        ] {
            assert_eq!(text.parse::<Listen>(), Err(EXPECTED), "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_tried() {
        let tried = async |text: &str| text.parse::<Listen>().unwrap().addresses().await.unwrap();
        let addresses = |texts: &[&str]| {
            texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>()
        };
        assert_eq!(tried("192.0.2.7:80").await, addresses(&["192.0.2.7:80"]));
        assert_eq!(tried(":80").await, addresses(&["[::]:80", "0.0.0.0:80"]));
        assert_eq!(tried("localhost:80").await[0], addresses(&["127.0.0.1:80"])[0]);
    }
}
