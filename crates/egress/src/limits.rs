//! How much and how long.

use std::time::Duration;

/// Bounds of one gateway. The defaults are what sessions run with; tests shorten them.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections of clients served at once. Beyond them a connection is answered 503.
    pub connections: usize,
    /// Connections being told 503 at once. Beyond them clients wait in the listener's backlog.
    pub turned_away: usize,
    /// Largest head of a request, bytes; at least 8192.
    pub head: usize,
    /// How long a client may take to send a head, and how long it may keep an idle connection.
    pub head_read: Duration,
    /// How long a lookup may take.
    pub resolve: Duration,
    /// How long one address may take to connect.
    pub connect_address: Duration,
    /// How long all addresses of a destination may take together.
    pub connect: Duration,
    /// How long one address is waited for before the next is tried beside it.
    pub stagger: Duration,
    /// How long an origin may stay silent between the last byte of the request and its answer.
    pub answer: Duration,
    /// How long a tunnel with one direction closed may move no byte. With both directions open
    /// there is no limit: a quiet WebSocket is not a dead one, and a session may be suspended.
    pub half_closed: Duration,
    /// Buffers of a client's socket in the kernel, each way, bytes; the kernel doubles it for its
    /// own bookkeeping.
    pub socket_buffer: usize,
    /// Bytes that tunnels may hold for slow readers, all together, before each is cut down to a
    /// small buffer.
    pub held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            turned_away: 16,
            head: 256 * 1024,
            head_read: Duration::from_secs(30),
            resolve: Duration::from_secs(10),
            connect_address: Duration::from_secs(10),
            connect: Duration::from_secs(20),
            stagger: Duration::from_millis(250),
            answer: Duration::from_secs(300),
            half_closed: Duration::from_secs(600),
            socket_buffer: 256 * 1024,
            held_bytes: 2 * 1024 * 1024,
        }
    }
}
