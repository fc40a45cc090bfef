//! What `serve`, the shim and the guest say to each other.
//!
//! Owns the message types of the inner protocol and its generation number, and reads them off lines;
//! opens nothing.
//!
//! ```text
//!  serve ──SessionSpec line, once──▶ shim ──GuestSpec (environment, once)──▶ guest
//!  serve ──an empty line, once─────▶ shim: the session's folders are made
//!  serve ◀──ShimReport lines──────── shim ◀──GuestReport lines── socketpair
//!  serve ──ShimCommand lines───────▶ shim ──GuestCommand lines──▶ guest
//!         └ a socket pair, the shim's stdin; a later serve connects to shim.sock instead
//!  serve ──HTTP──▶ guest.sock (a listener the shim made and the guest inherited)
//!  serve ──one HandoffRequest byte──▶ fd.sock ──HandoffReply + descriptor (SCM_RIGHTS)──▶ serve
//! ```
//!
//! Every command has a [`RequestId`], which its answer repeats: an answer that is lost, late or invented
//! concerns no other command.
//!
//! Everything that comes from the guest is hostile: readers bound every line by [`LINE_LIMIT`] and
//! treat what does not parse as a reason to end the session.

mod folder;
mod handoff;
#[cfg(feature = "lines")]
pub mod lines;
mod messages;
mod offer;
pub mod replay;
mod spec;

pub use folder::{LedgerEntry, LedgerProcess, file};
pub use handoff::{HandoffReply, HandoffRequest};
pub use messages::{
    Assignment, GuestCommand, GuestReport, RequestId, ShimCommand, ShimReport, Walls,
};
pub use offer::FileOffer;
pub use spec::{
    CgroupPlaces, DiskLimit, DiskReserve, EgressPolicy, GUEST_SPEC_ENV, GuestSpec, Programs, Route,
    SPEC_LIMIT, SessionSpec,
};

/// Changes with every incompatible change of a type in this crate. A `serve` that meets a shim of
/// another generation ends its session.
pub const GENERATION: u32 = 7;

/// Longest line either side may send, bytes.
pub const LINE_LIMIT: usize = 64 * 1024;

/// Fixed places inside a session.
pub mod inside {
    use std::net::{Ipv4Addr, SocketAddrV4};

    /// Where the gateway listens, inside the session's network namespace.
    pub const PROXY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3128);
    /// The same as programs are told.
    pub const PROXY_ADDR: &str = "127.0.0.1:3128";
    /// Where connections to elsewhere and DNS questions are redirected to, for the gateway as well.
    pub const REDIRECTED: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 3129);
    /// The network the session seems to be in, the names of which are the gateway's to give. Set aside for
    /// measurements (RFC 2544), so that nothing anybody wants to reach is hidden behind it.
    pub const NETWORK: (Ipv4Addr, u8) = (Ipv4Addr::new(198, 18, 0, 0), 15);
    /// Its router, which answers DNS questions.
    pub const ROUTER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
    /// The session's own address.
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
    /// The session's host name.
    pub const HOST_NAME: &str = "browser";
    /// The browser user's name.
    pub const USER: &str = "kernel";
    /// Its uid and gid.
    pub const UID: u32 = 1000;
    /// Its home.
    pub const HOME: &str = "/home/kernel";
    /// Chromium's profile.
    pub const USER_DATA_DIR: &str = "/home/kernel/user-data";
    /// Where downloads go.
    pub const DOWNLOADS: &str = "/home/kernel/Downloads";
    /// Chromium's managed policies, which it reads when it starts.
    pub const POLICIES: &str = "/etc/chromium/policies/managed";
    /// Folders of the browser user.
    pub const USER_FOLDERS: [&str; 3] = [HOME, USER_DATA_DIR, DOWNLOADS];
    /// Where the guest keeps process output; only the guest may read it.
    pub const STATE_DIR: &str = "/var/lib/browserd";
    /// Where recordings are written; only the guest may read it.
    pub const REPLAYS: &str = "/var/lib/browserd/replays";
    /// Where the sound server has its socket.
    pub const PULSE_DIR: &str = "/run/pulse";
    /// The sound server's address; it is there while a recording wants sound, and after.
    pub const PULSE_SERVER: &str = "unix:/run/pulse/native";
    /// Where the guest keeps its own log and those of Chromium, the X server and the driver, readable
    /// by everyone inside.
    pub const LOG_DIR: &str = "/var/log/browserd";
    /// Where the runners for Node are, read-only.
    pub const NODE_RUNNERS: &str = "/opt/browserd/runners/node";
}

/// File descriptors the guest inherits from the shim.
pub mod guest_fd {
    /// Stream socket to the shim: `GuestReport` lines out, `GuestCommand` lines in; its end is the
    /// guest's end.
    pub const SHIM: i32 = 3;
    /// Unix listener for the guest's HTTP API.
    pub const HTTP: i32 = 4;
    /// Unix listener for handing out sockets.
    pub const HANDOFF: i32 = 5;
    /// Directory of the session's own cgroup (v2), when there is one to make leaves in.
    pub const CGROUP: i32 = 6;
}
