//! A session's only route to the network: an HTTP proxy that decides what may be reached.
//!
//! It runs in the session's shim. Its listener's socket lives in the session's network namespace,
//! which has a loopback and nothing else; its own connections are dialled from the host's
//! namespace. What this proxy does not pass on does not leave.
//!
//! ```text
//!   ── session's namespace ──────────────┐      ┌── host's namespace ───────────────
//!   Chromium, curl … ─▶ 127.0.0.1:3128 ──┼─▶ Gateway ─▶ Policy ─▶ Connector ─▶ origin
//!                                        │      │          │ Refusal: typed answer
//! ```
//!
//! Owns: reading proxy requests, the verdict on names and addresses, lookups, dialling, tunnels,
//! forwarding plain HTTP, going through an upstream proxy. Does not own: the listener's namespace,
//! process start, settings. HTTPS passes through tunnels unread; TLS is spoken with proxies only.
//!
//! Clients are hostile, and so are origins. The rules, and the reasons for them, are written down
//! in `docs/egress.md`.

mod connect;
mod connection;
pub mod destination;
mod dns;
mod forward;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod headers;
mod limits;
mod names;
mod odd_answer;
pub mod policy;
mod probe;
mod proxy;
pub mod ranges;
mod redirected;
pub mod refusal;
mod refusal_log;
mod resolve;
mod stream;
mod tape;
mod tunnel;

pub use connect::{Dialer, HostDialer};
pub use gateway::Gateway;
pub use limits::Limits;
pub use policy::PolicyError;
pub use probe::{ProbeError, probe};
pub use proxy::{ProxyError, check as check_proxy};
pub use refusal::Refusal;
pub use resolve::{BoxFuture, Resolver, SystemResolver};
