//! What a client asks for, in one canonical spelling. Pure.
//!
//! Hosts are parsed as browsers parse them (the WHATWG URL standard), so `0x7f.1`, `2130706433`,
//! `%3127.0.0.1` and `127。0。0。1` are all the address 127.0.0.1 before anybody decides anything.
//! What is checked is what is resolved, dialled, logged and sent as `Host`.

use std::fmt;
use std::net::IpAddr;

use crate::refusal::Malformed;

/// Longest `host:port` looked at, bytes. A name has at most 253; percent-encoding triples it.
const AUTHORITY_LIMIT: usize = 1024;

/// A host in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// Lower-case ASCII (IDNA applied), labels of letters, digits, `-` and `_`, no trailing dot.
    Name(String),
    /// A literal address.
    Address(IpAddr),
}

impl Host {
    /// Parses a host: a name, an IPv4 address in any spelling, or `[IPv6]`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if text.is_empty() {
            return Err(Malformed("the host is empty"));
        }
        if text.len() > AUTHORITY_LIMIT {
            return Err(Malformed("the host is longer than any name can be"));
        }
        match url::Host::parse(text) {
            Ok(url::Host::Ipv4(ip)) => Ok(Self::Address(ip.into())),
            Ok(url::Host::Ipv6(ip)) => Ok(Self::Address(ip.into())),
            Ok(url::Host::Domain(name)) => Self::name(&name),
            Err(_) if text.contains("%25") || text.starts_with('[') && text.contains('%') => {
                Err(Malformed("zone ids are not supported"))
            }
            Err(_) => Err(Malformed("the host is neither a valid name nor a valid address")),
        }
    }

    fn name(name: &str) -> Result<Self, Malformed> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.len() > 253 {
            return Err(Malformed("the host is longer than 253 characters"));
        }
        let label_ok = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if !name.split('.').all(label_ok) {
            return Err(Malformed(
                "the host has a label that is empty, longer than 63 characters or has characters \
                 other than letters, digits, - and _",
            ));
        }
        Ok(Self::Name(name.to_ascii_lowercase()))
    }

    /// Whether this is `localhost` or a name below it, which mean loopback by definition (RFC 6761)
    /// and are never looked up.
    pub fn is_localhost(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Self::Address(_) => false,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Address(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

/// Host and port a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The host.
    pub host: Host,
    /// The port, never 0.
    pub port: u16,
}

impl Destination {
    /// Parses `host:port`; the port may be left out where there is a default.
    ///
    /// # Errors
    /// Says what is wrong with it. User information (`user@host`) is an error: it is only good for
    /// making one host look like another.
    pub fn parse(authority: &str, default_port: Option<u16>) -> Result<Self, Malformed> {
        if authority.contains('@') {
            return Err(Malformed(
                "the target carries user information (user@host); send an Authorization header instead",
            ));
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(digits) => parse_port(digits)?,
            None => default_port.ok_or(Malformed("the target has no port"))?,
        };
        Ok(Self { host: Host::parse(host)?, port })
    }

    /// The `Host` header for a request over plain HTTP.
    pub fn host_header(&self) -> String {
        if self.port == 80 { self.host.to_string() } else { self.to_string() }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Splits `host:port`, keeping the brackets of an IPv6 host. An empty port counts as none, as in
/// URLs.
pub(crate) fn split_port(authority: &str) -> Result<(&str, Option<&str>), Malformed> {
    let host_end = match authority.strip_prefix('[') {
        Some(rest) => {
            rest.find(']').ok_or(Malformed("the bracket of an IPv6 host is not closed"))? + 2
        }
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(host_end);
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok((host, None)),
        None => Err(Malformed("something other than :port follows the host")),
        Some("") => Ok((host, None)),
        Some(port) => Ok((host, Some(port))),
    }
}

/// Parses a port, 1 to 65535, digits only.
pub(crate) fn parse_port(digits: &str) -> Result<u16, Malformed> {
    if digits.bytes().all(|b| b.is_ascii_digit())
        && let Ok(port @ 1..) = digits.parse()
    {
        return Ok(port);
    }
    Err(Malformed("the port is not a number from 1 to 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn host(text: &str) -> String {
        Destination::parse(text, Some(80))
            .map_or_else(|e| format!("! {}", e.0), |d| d.host.to_string())
    }

    #[test]
    fn spellings_of_one_address_are_one() {
        for text in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "0x7F.0x0.0x0.0x1",
            "%31%32%37.0.0.1",
            "127。0。0。1",
            "127.0.0.1",
            "①②⑦.0.0.1",
            "127.0.0.01",
            "127.0.0.1:",
        ] {
            assert_eq!(host(text), "127.0.0.1", "{text}");
        }
        for text in
            ["169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"]
        {
            assert_eq!(host(text), "169.254.169.254", "{text}");
        }
        for text in ["[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::0.0.0.1]"] {
            assert_eq!(host(text), "[::1]", "{text}");
        }
        assert_eq!(host("[::ffff:127.0.0.1]"), "[::ffff:127.0.0.1]");
    }

    #[test]
    fn names_have_one_spelling() {
        for (text, want) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("ex%61mple.com", "example.com"),
            ("LOCALHOST.", "localhost"),
            ("ｌｏｃａｌｈｏｓｔ", "localhost"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("_dmarc.example.com", "_dmarc.example.com"),
        ] {
            assert_eq!(host(text), want, "{text}");
        }
        assert!(Host::parse("a.LocalHost").expect("a name").is_localhost());
        assert!(!Host::parse("notlocalhost").expect("a name").is_localhost());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            ":80",
            "example.com..",
            ".example.com",
            "a..b",
            "256.256.256.256",
            "1.2.3.4.5",
            "0x7g.1",
            "[::1",
            "[::1]x",
            "[fe80::1%25eth0]",
            "[fe80::1%eth0]",
            "::1",
            "a b",
            "a\0b",
            "a/b",
            "a#b",
            "user@host",
            "public.example@127.0.0.1",
            "a:0",
            "a:65536",
            "a:+80",
            "a:8o",
            "a!b",
            "*.example.com",
            "a%00b",
            "a\u{200b}\u{202e}",
        ] {
            assert!(Destination::parse(text, Some(80)).is_err(), "{text:?}");
        }
        assert!(Destination::parse("example.com", None).is_err());
        assert!(Host::parse(&"a".repeat(64)).is_err());
        assert!(Host::parse(&vec!["abc"; 64].join(".")).is_err());
    }

    #[test]
    fn host_header_leaves_out_the_default_port() {
        let dest = |t| Destination::parse(t, Some(80)).expect("valid").host_header();
        assert_eq!(dest("example.com:80"), "example.com");
        assert_eq!(dest("example.com:8080"), "example.com:8080");
        assert_eq!(dest("[::1]:81"), "[::1]:81");
    }

    proptest! {
        /// Anything parses or is refused, and what parses parses to itself again.
        #[test]
        fn canonical_form_is_a_fixed_point(text in "\\PC{0,40}|[0-9a-fx.:\\[\\]%]{0,24}") {
            if let Ok(dest) = Destination::parse(&text, Some(80)) {
                prop_assert_eq!(Destination::parse(&dest.to_string(), None), Ok(dest));
            }
        }

        /// Every numeric spelling of every IPv4 address is that address.
        #[test]
        fn numeric_spellings(bits: u32) {
            let want = Host::Address(IpAddr::V4(bits.into()));
            let [a, b, c, d] = bits.to_be_bytes();
            let low = bits & 0x00ff_ffff;
            for text in [
                format!("{bits}"), format!("{bits:#x}"), format!("0{bits:o}"),
                format!("{a:#x}.{b}.0{c:o}.{d}"), format!("{a}.{low}"), format!("0{a:o}.{low:#X}").replace("0X", "0x"),
                format!("{a}.{b}.{}", u16::from_be_bytes([c, d])), format!("{a}.{b}.{c}.{d}."),
            ] {
                prop_assert_eq!(Host::parse(&text), Ok(want.clone()), "{}", text);
            }
        }
    }
}
