//! A session's network: what its namespace has besides loopback, and who listens there for the gateway.
//!
//! ```text
//!  program that knows the proxy ──▶ 127.0.0.1:3128 ──────────────────▶ proxy ─────┐
//!  any other: TCP to anywhere ─▶ eth0 ─▶ redirected to 127.0.0.1:3129 ─▶ redirected ├─▶ gateway
//!             question to any DNS server ─▶ redirected to 127.0.0.1:3129 ─▶ names ─┘
//!             anything else ─▶ eth0 ─▶ refused at once
//! ```
//!
//! `eth0` leads nowhere: no end of it is outside the namespace. It is there for programs that ask whether
//! there is a network, and for the kernel to have a route for what is then redirected.

mod netlink;
mod rules;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};

use rustix::net::{AddressFamily, SocketType, netdevice};

use crate::WallError;
use crate::error::Step;
use netlink::{Message, Netlink, attribute, nested, text};

/// What the network of a session is like.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// Where the gateway's proxy listens.
    pub proxy: SocketAddr,
    /// Where redirected connections and DNS questions come in; on loopback.
    pub redirected: SocketAddrV4,
    /// The session's own address.
    pub address: Ipv4Addr,
    /// Leading bits of the address that it shares with its neighbours.
    pub prefix: u8,
    /// Where the default route leads.
    pub router: Ipv4Addr,
}

/// What takes connections that were meant for elsewhere, and DNS questions. Both listen inside.
#[derive(Debug)]
pub struct Redirected {
    /// Takes TCP connections; each knows where it was meant to go (`SO_ORIGINAL_DST`).
    pub connections: TcpListener,
    /// Takes DNS questions.
    pub names: UdpSocket,
}

/// The gateway's ends of a session's network.
#[derive(Debug)]
pub struct Listeners {
    /// Takes connections of programs that know the proxy.
    pub proxy: TcpListener,
    /// Takes those of all others, or says why there is no such thing: the kernel may lack what it takes.
    pub redirected: Result<Redirected, WallError>,
}

/// Sets up the network namespace of this process.
///
/// # Errors
///
/// When not even the proxy can be reached in it.
pub(crate) fn set_up(network: &Network) -> Result<Listeners, WallError> {
    let loopback = Netlink::open(None).and_then(|kernel| kernel.ask(&up(LOOPBACK)));
    loopback.step("bring the loopback up")?;
    let proxy = TcpListener::bind(network.proxy).step("listen for the gateway")?;
    Ok(Listeners { proxy, redirected: redirect(network) })
}

/// Tries to set up such a network in this process's network namespace, which must be one of its own.
///
/// # Errors
///
/// What the kernel lacks.
pub fn try_out(network: &Network) -> Result<(), WallError> {
    set_up(network)?.redirected.map(drop)
}

fn redirect(network: &Network) -> Result<Redirected, WallError> {
    // In this order nothing is redirected to where no one listens.
    let connections = TcpListener::bind(network.redirected).step("listen for connections")?;
    let names = UdpSocket::bind(network.redirected).step("listen for DNS questions")?;
    rules::put_in_force(network).step("redirect connections (nftables)")?;
    forget_soon();
    interface(network).step("make a network interface")?;
    Ok(Redirected { connections, names })
}

/// Seconds the kernel remembers a redirected connection that is over, and an answered question: on loopback no
/// packet comes late, and what it remembers is memory that no cgroup counts.
const REMEMBERED: [(&str, &str); 3] = [
    ("nf_conntrack_tcp_timeout_time_wait", "1"),
    ("nf_conntrack_tcp_timeout_close", "1"),
    ("nf_conntrack_udp_timeout", "5"),
];

/// Has the kernel forget connections soon. Where that cannot be set they are remembered for two minutes.
fn forget_soon() {
    for (name, seconds) in REMEMBERED {
        let _ = std::fs::write(format!("/proc/sys/net/netfilter/{name}"), seconds);
    }
}

const INTERFACE: &str = "eth0";
/// Loopback is the first interface of every namespace.
const LOOPBACK: u32 = 1;

/// Makes an interface that leads nowhere, with an address and a default route.
fn interface(network: &Network) -> io::Result<()> {
    let kernel = Netlink::open(None)?;
    // A bridge without ports; where there are none, a dummy. Asking for what is not there takes long:
    // the kernel looks for a module.
    kernel.ask(&link("bridge")).or_else(|_| kernel.ask(&link("dummy")))?;
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    let index = netdevice::name_to_index(&socket, INTERFACE)?;
    kernel.ask(&without_inet6(index))?;
    kernel.ask(&up(index))?;
    kernel.ask(&address(index, network))?;
    kernel.ask(&default_route(index, network))
}

// linux/netlink.h: what must not be there yet.
const CREATE: u16 = 0x400 | 0x200;
// linux/if_link.h, linux/rtnetlink.h, linux/if_addr.h
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const INET: u8 = 2;

/// `struct ifinfomsg`.
fn link_header(index: u32, flags: u32) -> Vec<u8> {
    let fields = [0, index, flags, flags];
    fields.iter().flat_map(|field| field.to_ne_bytes()).collect()
}

fn link(kind: &str) -> Message {
    const NAME: u16 = 3;
    const INFO: u16 = 18;
    const INFO_KIND: u16 = 1;
    Message {
        kind: NEW_LINK,
        flags: CREATE,
        header: link_header(0, 0),
        attributes: vec![text(NAME, INTERFACE), nested(INFO, &[text(INFO_KIND, kind)])],
    }
}

/// Keeps it from having an IPv6 address of its own when it comes up: nothing would answer there.
fn without_inet6(index: u32) -> Message {
    const BY_FAMILY: u16 = 26;
    const INET6: u16 = 10;
    const ADDRESS_MODE: u16 = 8;
    const NONE: u8 = 1;
    let inet6 = nested(INET6, &[attribute(ADDRESS_MODE, &[NONE])]);
    let attributes = vec![nested(BY_FAMILY, &[inet6])];
    Message { kind: NEW_LINK, flags: 0, header: link_header(index, 0), attributes }
}

fn up(index: u32) -> Message {
    const UP: u32 = 1;
    let header = link_header(index, UP);
    Message { kind: NEW_LINK, flags: 0, header, attributes: Vec::new() }
}

fn address(index: u32, network: &Network) -> Message {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    let own = network.address.octets();
    // `struct ifaddrmsg`: family, prefix, flags, scope, interface
    let header = [&[INET, network.prefix, 0, 0][..], &index.to_ne_bytes()].concat();
    let attributes = vec![attribute(LOCAL, &own), attribute(ADDRESS, &own)];
    Message { kind: NEW_ADDRESS, flags: CREATE, header, attributes }
}

fn default_route(index: u32, network: &Network) -> Message {
    const OUTPUT: u16 = 4;
    const GATEWAY: u16 = 5;
    const MAIN: u8 = 254;
    const STATIC: u8 = 4;
    const UNICAST: u8 = 1;
    // `struct rtmsg`: family, lengths of destination and source, type of service, table, origin, scope,
    // type, flags
    let header = vec![INET, 0, 0, 0, MAIN, STATIC, 0, UNICAST, 0, 0, 0, 0];
    let attributes =
        vec![attribute(OUTPUT, &index.to_ne_bytes()), attribute(GATEWAY, &network.router.octets())];
    Message { kind: NEW_ROUTE, flags: CREATE, header, attributes }
}
