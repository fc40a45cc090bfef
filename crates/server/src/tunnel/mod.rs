//! WebSocket connections, copied byte by byte between a client and something inside a session.
//!
//! Owns the handshake towards the inside, the copying, and the close frame. Reads frame headers in the
//! direction of the client only, to know where a close frame of our own may stand; parses no payload.
//!
//! ```text
//!  client            serve                         inside
//!    │ GET, Upgrade    │                              │
//!    │────────────────▶│  GET, Upgrade (by hand)      │
//!    │                 │─────────────────────────────▶│
//!    │                 │◀───────────────────────── 101│
//!    │◀──────────── 101│                              │
//!    │◀═══════════════ bytes, both ways ═════════════▶│
//!    │                 │   session ends / inside dies │
//!    │◀── close frame, │                              │
//!    │    at a boundary│ (in the middle of a frame: TCP only)
//! ```

mod close_frame;
mod copy;
mod frames;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod handshake;
mod idle_timer;
mod slot;
mod splice;

pub(crate) use handshake::{UpgradeToWebSocket, WebSocketRequest, asks, open};
pub(crate) use slot::{Slot, Upgrade};
pub(crate) use splice::{Inside, Kind, Tunnels};
