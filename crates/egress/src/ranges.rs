//! Which part of the address space an address belongs to. Pure tables, no I/O.
//!
//! Sources, read as "what is not globally reachable unicast is not public":
//! - IANA IPv4 Special-Purpose Address Registry
//!   (<https://www.iana.org/assignments/iana-ipv4-special-registry>, RFC 6890 and RFC 8190)
//! - IANA IPv6 Special-Purpose Address Registry
//!   (<https://www.iana.org/assignments/iana-ipv6-special-registry>)
//! - IANA IPv4 Multicast Address Space (`224.0.0.0/4`) and IPv6 Address Space (only `2000::/3` is
//!   handed out as global unicast)
//!
//! Metadata services have no registry; [`METADATA`] lists those of the large clouds, two of which
//! sit on addresses that look public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Part of the address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Globally reachable unicast: the internet.
    Public,
    /// `127.0.0.0/8` and `::1`.
    Loopback,
    /// `10.0.0.0/8`, `172.16.0.0/12`, `192.168.0.0/16` (RFC 1918).
    Private,
    /// `100.64.0.0/10`, carrier-grade NAT (RFC 6598); overlay networks use it as well.
    Shared,
    /// `fc00::/7` (RFC 4193).
    UniqueLocal,
    /// `169.254.0.0/16`, `fe80::/10` and the old site-local `fec0::/10`.
    LinkLocal,
    /// A cloud's metadata or credential service.
    Metadata,
    /// `0.0.0.0/8` and `::`; connecting to them reaches the host itself.
    Unspecified,
    /// `224.0.0.0/4`, `ff00::/8` and the broadcast address.
    Multicast,
    /// Networks reserved for documentation, benchmarks and protocol assignments, and everything
    /// not handed out yet.
    Reserved,
    /// IPv6 that carries an IPv4 address by a mechanism with no honest use here: compatible,
    /// 6to4, Teredo, local NAT64, or NAT64 and ISATAP around an IPv4 address that is not public.
    Transition,
    /// `::ffff:0:0/96`. Never dialled, listed or not: the same host has an IPv4 spelling.
    Mapped,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(high: [u16; 4], prefix: u8) -> Ipv6Net {
    let [a, b, c, d] = high;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

/// Metadata and credential services of clouds. Checked before the tables.
pub const METADATA: &[IpAddr] = &[
    // The address most clouds share.
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    // AWS: container credentials, pod identity.
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    // Google over IPv6.
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    // Tencent.
    IpAddr::V4(Ipv4Addr::new(169, 254, 0, 23)),
    // Alibaba.
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    // Oracle, the older service.
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // Azure's wire server: looks public, exists only inside a virtual machine.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];

/// IPv4 that is not public. First match wins.
const V4: &[(Ipv4Net, Scope)] = &[
    (v4(0, 0, 0, 0, 8), Scope::Unspecified),
    (v4(10, 0, 0, 0, 8), Scope::Private),
    (v4(100, 64, 0, 0, 10), Scope::Shared),
    (v4(127, 0, 0, 0, 8), Scope::Loopback),
    (v4(169, 254, 0, 0, 16), Scope::LinkLocal),
    (v4(172, 16, 0, 0, 12), Scope::Private),
    // Protocol assignments, with the anycast addresses inside them: nothing there serves pages.
    (v4(192, 0, 0, 0, 24), Scope::Reserved),
    (v4(192, 0, 2, 0, 24), Scope::Reserved),
    // Deprecated 6to4 relay anycast.
    (v4(192, 88, 99, 0, 24), Scope::Reserved),
    (v4(192, 168, 0, 0, 16), Scope::Private),
    (v4(198, 18, 0, 0, 15), Scope::Reserved),
    (v4(198, 51, 100, 0, 24), Scope::Reserved),
    (v4(203, 0, 113, 0, 24), Scope::Reserved),
    (v4(224, 0, 0, 0, 4), Scope::Multicast),
    (v4(255, 255, 255, 255, 32), Scope::Multicast),
    (v4(240, 0, 0, 0, 4), Scope::Reserved),
];

/// IPv6 that is not public, apart from the addresses that embed IPv4. First match wins.
const V6: &[(Ipv6Net, Scope)] = &[
    // Local-use NAT64 (RFC 8215): what it reaches is the operator's business alone.
    (v6([0x64, 0xff9b, 1, 0], 48), Scope::Transition),
    // Teredo.
    (v6([0x2001, 0, 0, 0], 32), Scope::Transition),
    // Protocol assignments: benchmarking, ORCHID, ORCHIDv2, DRIP, AMT, AS112, anycast.
    (v6([0x2001, 0, 0, 0], 23), Scope::Reserved),
    (v6([0x2001, 0xdb8, 0, 0], 32), Scope::Reserved),
    // 6to4.
    (v6([0x2002, 0, 0, 0], 16), Scope::Transition),
    (v6([0x3fff, 0, 0, 0], 20), Scope::Reserved),
    // 6bone, returned.
    (v6([0x3ffe, 0, 0, 0], 16), Scope::Reserved),
    (v6([0xfc00, 0, 0, 0], 7), Scope::UniqueLocal),
    (v6([0xfe80, 0, 0, 0], 10), Scope::LinkLocal),
    (v6([0xfec0, 0, 0, 0], 10), Scope::LinkLocal),
    (v6([0xff00, 0, 0, 0], 8), Scope::Multicast),
];

/// The part of IPv6 that is handed out as global unicast.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// The well-known NAT64 prefix (RFC 6052). Hosts without IPv4 reach the whole IPv4 internet through
/// it, so it is as public as the IPv4 address inside.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], 96);

/// Says which part of the address space `ip` belongs to.
pub fn scope(ip: IpAddr) -> Scope {
    if METADATA.contains(&ip) {
        return Scope::Metadata;
    }
    match ip {
        IpAddr::V4(ip) => scope_v4(ip),
        IpAddr::V6(ip) => scope_v6(ip),
    }
}

fn scope_v4(ip: Ipv4Addr) -> Scope {
    V4.iter().find(|(net, _)| net.contains(&ip)).map_or(Scope::Public, |(_, scope)| *scope)
}

fn scope_v6(ip: Ipv6Addr) -> Scope {
    let s = ip.segments();
    let embedded = embedded_v4(s);
    if ip.to_ipv4_mapped().is_some() {
        return Scope::Mapped;
    }
    match ip {
        Ipv6Addr::UNSPECIFIED => return Scope::Unspecified,
        Ipv6Addr::LOCALHOST => return Scope::Loopback,
        _ if s[..6] == [0; 6] => return Scope::Transition,
        _ => {}
    }
    if NAT64.contains(&ip) {
        return public_or_transition(embedded);
    }
    if let Some((_, scope)) = V6.iter().find(|(net, _)| net.contains(&ip)) {
        return *scope;
    }
    if !GLOBAL_UNICAST.contains(&ip) {
        return Scope::Reserved;
    }
    // ISATAP (RFC 5214): interface id 0:5efe or 200:5efe, then an IPv4 address.
    if s[4] & !0x0200 == 0 && s[5] == 0x5efe {
        return public_or_transition(embedded);
    }
    Scope::Public
}

fn public_or_transition(embedded: Ipv4Addr) -> Scope {
    match scope(IpAddr::V4(embedded)) {
        Scope::Public => Scope::Public,
        _ => Scope::Transition,
    }
}

/// The IPv4 address in the low 32 bits.
fn embedded_v4(s: [u16; 8]) -> Ipv4Addr {
    let [a, b] = s[6].to_be_bytes();
    let [c, d] = s[7].to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(ip: &str) -> Scope {
        scope(ip.parse().expect("an address"))
    }

    #[test]
    fn every_range_at_both_ends() {
        for (net, want) in V4 {
            let first = net.network();
            assert!(METADATA.contains(&first.into()) || scope_v4(first) == *want, "{first}");
            assert_ne!(scope(net.broadcast().into()), Scope::Public, "{net}");
        }
        for (net, _) in V6 {
            for ip in [net.network(), net.broadcast()] {
                assert_ne!(scope(IpAddr::V6(ip)), Scope::Public, "{ip}");
            }
        }
    }

    #[test]
    fn neighbours_of_ranges_are_public() {
        for ip in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "8.8.8.8",
            "2606:4700:4700::1111",
            "2a00:1450:4001::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2003::1",
            "2620:4f:8000::1",
        ] {
            assert_eq!(of(ip), Scope::Public, "{ip}");
        }
    }

    #[test]
    fn known_addresses() {
        for (ip, want) in [
            ("::", Scope::Unspecified),
            ("::1", Scope::Loopback),
            ("::7f00:1", Scope::Transition),
            ("::ffff:8.8.8.8", Scope::Mapped),
            ("::ffff:127.0.0.1", Scope::Mapped),
            ("64:ff9b::8.8.8.8", Scope::Public),
            ("64:ff9b::169.254.169.254", Scope::Transition),
            ("64:ff9b:1::8.8.8.8", Scope::Transition),
            ("2001::1", Scope::Transition),
            ("2001:2::1", Scope::Reserved),
            ("2001:10::1", Scope::Reserved),
            ("2001:20::1", Scope::Reserved),
            ("2001:db8::1", Scope::Reserved),
            ("2002:808:808::1", Scope::Transition),
            ("2a00:1450::5efe:10.0.0.1", Scope::Transition),
            ("2a00:1450::200:5efe:127.0.0.1", Scope::Transition),
            ("3fff::1", Scope::Reserved),
            ("5f00::1", Scope::Reserved),
            ("100::1", Scope::Reserved),
            ("fd00::1", Scope::UniqueLocal),
            ("fd00:ec2::254", Scope::Metadata),
            ("fe80::1", Scope::LinkLocal),
            ("fec0::1", Scope::LinkLocal),
            ("ff02::1", Scope::Multicast),
            ("169.254.169.254", Scope::Metadata),
            ("100.100.100.200", Scope::Metadata),
            ("168.63.129.16", Scope::Metadata),
            ("168.63.129.17", Scope::Public),
            ("255.255.255.255", Scope::Multicast),
            ("240.0.0.1", Scope::Reserved),
        ] {
            assert_eq!(of(ip), want, "{ip}");
        }
    }

    proptest! {
        /// No IPv6 wrapping makes a forbidden IPv4 address public.
        #[test]
        fn wrapping_hides_nothing(bits: u32, pick in 0usize..16, low: u16) {
            let net = V4[pick % V4.len()].0;
            let host = bits & u32::from(net.hostmask());
            let ip = Ipv4Addr::from(u32::from(net.network()) | host);
            prop_assert_ne!(scope(IpAddr::V4(ip)), Scope::Public);
            let o = ip.octets();
            let (hi, lo) = (u16::from_be_bytes([o[0], o[1]]), u16::from_be_bytes([o[2], o[3]]));
            for v6 in [
                ip.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, hi, lo),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, hi, lo),
                Ipv6Addr::new(0x64, 0xff9b, 1, low, 0, 0, hi, lo),
                Ipv6Addr::new(0x2002, hi, lo, low, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, hi, lo, low, low, !hi, !lo),
                Ipv6Addr::new(0x2a00, low, 0, 0, 0, 0x5efe, hi, lo),
            ] {
                prop_assert_ne!(scope(IpAddr::V6(v6)), Scope::Public, "{} as {}", ip, v6);
            }
        }

        /// Whatever lies in no listed network is public, plainly and through NAT64.
        #[test]
        fn the_rest_is_public(bits: u32) {
            let ip = Ipv4Addr::from(bits);
            prop_assume!(!METADATA.contains(&IpAddr::V4(ip)));
            prop_assume!(!V4.iter().any(|(net, _)| net.contains(&ip)));
            prop_assert_eq!(scope(IpAddr::V4(ip)), Scope::Public);
            let o = ip.octets();
            let (hi, lo) = (u16::from_be_bytes([o[0], o[1]]), u16::from_be_bytes([o[2], o[3]]));
            let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, hi, lo);
            prop_assert_eq!(scope(IpAddr::V6(nat64)), Scope::Public);
        }
    }
}
