//! The guest: PID 1 inside a session's walls.
//!
//! ```text
//!  guest ─▶ guest-web ─────▶ guest-process ─┐
//!       ├─▶ guest-computer ┐                │
//!       ├─▶ guest-screen ──┼▶ guest-browser ┼─▶ guest-session ─▶ sandbox, chromium, protocol
//!       └─▶ guest-profile ─┘                │   guest-http ────▶ rest
//!                   └─────────▶ guest-fs ───┘
//! ```
//!
//! Owns the life of PID 1, its limits, the composition of the session's own HTTP API, the routes
//! that are for `serve` alone, and the socket that hands out descriptors. Every subresource is a crate of
//! its own, and none of them knows this one. Knows no fleet and no client: `serve` authenticates and
//! relays.

pub mod handoff;
pub mod http;
pub mod internal;
mod limits;
mod run;

pub use http::openapi;
pub use limits::raise_descriptor_limit;
pub use run::{Guest, run};
