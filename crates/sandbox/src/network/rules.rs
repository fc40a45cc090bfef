//! The rules of nftables in a session's network namespace.
//!
//! In the language of nft(8), with 3129 as the port and 198.18.0.2 as the session's address:
//!
//! ```text
//!  table ip gateway {
//!    chain untracked { type filter hook output priority -300;
//!      oif lo @th,0,16 != 3129 notrack }
//!    chain redirected { type nat hook output priority -100;
//!      oif != lo meta l4proto tcp redirect to :3129
//!      oif != lo udp dport 53 redirect to :3129 }
//!    chain refused { type filter hook output priority 0;
//!      ip daddr & 255.0.0.0 != 127.0.0.0 ip daddr != 198.18.0.2 ip daddr != 224.0.0.251 reject } }
//! ```
//!
//! Root inside has no power over them (see `KEPT_CAPABILITIES`); were they gone, packets would go to `eth0`
//! and be lost.

use std::io;

use rustix::net::netlink::NETFILTER;

use super::netlink::{Message, Netlink, attribute, nested, text};
use super::{LOOPBACK, Network};

// linux/netfilter.h, linux/netfilter/nfnetlink.h and nf_tables.h
const IPV4: u8 = 2;
const NFTABLES: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = 0;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const CREATE: u16 = 0x400;
/// Behind the rules that are there.
const APPEND: u16 = 0x800;
const HOOK_OUTPUT: u32 = 3;

const TABLE: &str = "gateway";
const TCP: u8 = 6;
const UDP: u8 = 17;
const DNS: u16 = 53;
/// Where browsers ask each other, and themselves, for the addresses behind the names of WebRTC (RFC 6762). Such a
/// question goes nowhere else than back into the session.
const MULTICAST_DNS: [u8; 4] = [224, 0, 0, 251];

/// Puts the rules in force, all of them or none.
pub(super) fn put_in_force(network: &Network) -> io::Result<()> {
    let port = network.redirected.port();
    let elsewhere = || [load_meta(META_OUTPUT), unless_equal(&LOOPBACK.to_ne_bytes())];
    let messages = [
        message(NEW_TABLE, CREATE, vec![text(1, TABLE)]),
        chain("untracked", "filter", -300),
        chain("redirected", "nat", -100),
        chain("refused", "filter", 0),
        // What stays on loopback costs nothing more than without rules; answers to what was redirected
        // must be tracked.
        rule(
            "untracked",
            &[
                load_meta(META_OUTPUT),
                if_equal(&LOOPBACK.to_ne_bytes()),
                load_packet(TRANSPORT, 0, 2),
                unless_equal(&port.to_be_bytes()),
                expression("notrack", &[]),
            ],
        ),
        rule(
            "redirected",
            &[&elsewhere()[..], &[load_meta(META_PROTOCOL), if_equal(&[TCP])], &redirect(port)]
                .concat(),
        ),
        rule(
            "redirected",
            &[
                &elsewhere()[..],
                &[
                    load_meta(META_PROTOCOL),
                    if_equal(&[UDP]),
                    load_packet(TRANSPORT, 2, 2),
                    if_equal(&DNS.to_be_bytes()),
                ],
                &redirect(port),
            ]
            .concat(),
        ),
        rule(
            "refused",
            &[
                load_packet(NETWORK, 16, 4),
                mask(&[255, 0, 0, 0]),
                unless_equal(&[127, 0, 0, 0]),
                load_packet(NETWORK, 16, 4),
                unless_equal(&network.address.octets()),
                load_packet(NETWORK, 16, 4),
                unless_equal(&MULTICAST_DNS),
                reject(),
            ],
        ),
    ];
    let kernel = Netlink::open(Some(NETFILTER))?;
    kernel.ask_all(&[mark(BATCH_BEGIN)], &messages, &[mark(BATCH_END)])
}

/// `struct nfgenmsg`: family, version, resource.
fn header(family: u8, resource: u16) -> Vec<u8> {
    [&[family, 0][..], &resource.to_be_bytes()].concat()
}

/// Where a batch begins or ends.
fn mark(kind: u16) -> Message {
    Message { kind, flags: 0, header: header(0, NFTABLES), attributes: Vec::new() }
}

fn message(kind: u16, flags: u16, attributes: Vec<Vec<u8>>) -> Message {
    Message { kind: NFTABLES << 8 | kind, flags, header: header(IPV4, 0), attributes }
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

/// A chain for what leaves a process; what it does not decide goes on.
fn chain(name: &str, kind: &str, priority: i32) -> Message {
    let hook = nested(4, &[number(1, HOOK_OUTPUT), number(2, priority.cast_unsigned())]);
    message(NEW_CHAIN, CREATE, vec![text(1, TABLE), text(3, name), hook, text(7, kind)])
}

fn rule(chain: &str, expressions: &[Vec<u8>]) -> Message {
    let flags = CREATE | APPEND;
    message(NEW_RULE, flags, vec![text(1, TABLE), text(2, chain), nested(4, expressions)])
}

fn expression(name: &str, attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut parts = vec![text(1, name)];
    if !attributes.is_empty() {
        parts.push(nested(2, attributes));
    }
    nested(1, &parts)
}

/// The only register the rules need.
const REGISTER: u32 = 1;

fn data(kind: u16, value: &[u8]) -> Vec<u8> {
    nested(kind, &[attribute(1, value)])
}

const META_OUTPUT: u32 = 5;
const META_PROTOCOL: u32 = 16;

/// Takes something the kernel knows of a packet.
fn load_meta(key: u32) -> Vec<u8> {
    expression("meta", &[number(1, REGISTER), number(2, key)])
}

const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;

/// Takes bytes of one of its headers.
fn load_packet(base: u32, offset: u32, length: u32) -> Vec<u8> {
    let attributes = [number(1, REGISTER), number(2, base), number(3, offset), number(4, length)];
    expression("payload", &attributes)
}

/// Keeps these bits of four bytes.
fn mask(bits: &[u8; 4]) -> Vec<u8> {
    let registers = [number(1, REGISTER), number(2, REGISTER), number(3, 4)];
    expression("bitwise", &[&registers[..], &[data(4, bits), data(5, &[0; 4])]].concat())
}

/// Goes on in this rule if what was taken is `value`.
fn if_equal(value: &[u8]) -> Vec<u8> {
    expression("cmp", &[number(1, REGISTER), number(2, 0), data(3, value)])
}

/// Goes on in this rule unless what was taken is `value`.
fn unless_equal(value: &[u8]) -> Vec<u8> {
    expression("cmp", &[number(1, REGISTER), number(2, 1), data(3, value)])
}

/// Sends it to a port on loopback instead.
fn redirect(port: u16) -> [Vec<u8>; 2] {
    [
        expression("immediate", &[number(1, REGISTER), data(2, &port.to_be_bytes())]),
        expression("redir", &[number(1, REGISTER)]),
    ]
}

/// Refuses it as a port where no one listens.
fn reject() -> Vec<u8> {
    const ICMP: u32 = 0;
    const PORT_UNREACHABLE: u8 = 3;
    expression("reject", &[number(1, ICMP), attribute(2, &[PORT_UNREACHABLE])])
}
