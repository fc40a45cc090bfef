//! Targets of what decides without a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use browserd_protocol::EgressPolicy;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderValue};

use super::headers::{first_line, headers as read};
use crate::destination::Destination;
use crate::headers::{Framing, for_client, for_origin, framing, upgrade};
use crate::policy::{Ask, Policy};
use crate::ranges::{Scope, scope};
use crate::refusal::ERROR_HEADER;

/// One address for each part of the address space that is not public.
const NOT_PUBLIC: [IpAddr; 7] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0808, 0x0808)),
];

/// A destination, and below it entries of a policy: one spelling for each, nothing private without an
/// entry, and with any entry still no address that is never dialled.
pub(super) fn target(data: &[u8]) {
    let (authority, rest) = first_line(data);
    let entries = std::str::from_utf8(rest).unwrap_or_default().lines().take(8);
    let policy = EgressPolicy { allowed_private_hosts: entries.map(str::to_owned).collect() };
    let listed = Policy::parse(&policy).unwrap_or_default();
    for port in [None, Some(80)] {
        let Ok(dest) = Destination::parse(authority, port) else { continue };
        assert_ne!(dest.port, 0);
        assert_eq!(Destination::parse(&dest.to_string(), None).as_ref(), Ok(&dest));
        assert_eq!(Destination::parse(&dest.host_header(), Some(80)).as_ref(), Ok(&dest));
        HeaderValue::from_str(&dest.host_header()).unwrap();
        decided(&dest, &listed);
    }
}

fn decided(dest: &Destination, listed: &Policy) {
    let open = Policy::default();
    for ip in NOT_PUBLIC {
        assert!(!open.admit(dest, ip, false) && !open.admit(dest, ip, true), "{dest} at {ip}");
    }
    match open.ask(dest) {
        Ok(Ask::Known(known)) => {
            for ip in known {
                assert_eq!(open.admit(dest, ip, false), scope(ip) == Scope::Public, "{ip}");
                assert!(!open.admit(dest, ip, true));
                if scope(ip) == Scope::Mapped {
                    assert!(!listed.admit(dest, ip, false));
                }
            }
        }
        Ok(Ask::LookUp(name)) => {
            assert!(!dest.host.is_localhost() && name.parse::<IpAddr>().is_err(), "{name}");
        }
        Err(_) => {}
    }
}

/// An address: IPv4 that is not public is not public in any IPv6 clothing either.
pub(super) fn address(data: &[u8]) {
    if let Some(bytes) = data.first_chunk::<16>() {
        let ip = Ipv6Addr::from(*bytes);
        let dest = Destination { host: crate::destination::Host::Address(ip.into()), port: 80 };
        let admitted = Policy::default().admit(&dest, ip.into(), false);
        assert_eq!(admitted, scope(ip.into()) == Scope::Public, "{ip}");
    }
    let Some(bytes) = data.first_chunk::<4>() else { return };
    let ip = Ipv4Addr::from(*bytes);
    let public = scope(ip.into()) == Scope::Public;
    let [a, b, c, d] = *bytes;
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let any = data.get(4..6).map_or(0, |any| u16::from_be_bytes([any[0], any[1]]));
    for clothed in [
        Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 1, any, 0, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, any, 0, 0, 0, 1),
        Ipv6Addr::new(0x2001, 0, high, low, any, any, !high, !low),
        Ipv6Addr::new(0x2a00, any, 0, 0, 0, 0x5efe, high, low),
        Ipv6Addr::new(0x2a00, any, 0, 0, 0x200, 0x5efe, high, low),
    ] {
        assert!(public || scope(clothed.into()) != Scope::Public, "{ip} as {clothed}");
    }
}

/// Headers both ways: what is for one hop stays behind, and the framing and `Host` are ours.
pub(super) fn headers(data: &[u8]) {
    let given = read(data);
    let dest = Destination::parse("example.com:8080", None).unwrap();
    let wanted = upgrade(&given);
    if let Ok(framing) = framing(&given) {
        let mut crossed = given.clone();
        for_origin(&mut crossed, &dest, framing, wanted.as_ref());
        one_hop(&crossed, wanted.is_some());
        let hosts: Vec<&HeaderValue> = crossed.get_all(HOST).iter().collect();
        assert_eq!(hosts, ["example.com:8080"]);
        let chunked = framing == Framing::Chunked;
        assert_eq!(crossed.contains_key(TRANSFER_ENCODING), chunked);
        assert!(!chunked || !crossed.contains_key(CONTENT_LENGTH));
        // Once is enough.
        let mut again = crossed.clone();
        for_origin(&mut again, &dest, framing, wanted.as_ref());
        assert_eq!(again, crossed);
    }
    let mut answer = given;
    for_client(&mut answer, wanted.as_ref());
    one_hop(&answer, wanted.is_some());
    assert!(!answer.contains_key(ERROR_HEADER) && !answer.contains_key(TRANSFER_ENCODING));
}

fn one_hop(headers: &HeaderMap, upgraded: bool) {
    for name in headers.keys().map(http::HeaderName::as_str) {
        assert!(!name.starts_with("proxy-") && name != "keep-alive" && name != "http2-settings");
    }
    assert_eq!(headers.contains_key(UPGRADE), upgraded);
    assert!(headers.get_all(TE).iter().all(|te| te == "trailers"));
    for option in headers.get_all(CONNECTION) {
        assert!(option == "te" || (upgraded && option == "upgrade"), "{option:?}");
    }
}
