//! The HTTP face: authentication, the browsers resource, the relay to each session's guest, CDP and
//! `WebDriver` endpoints, the contract's unbuilt operations, and the documents that describe it all.
//!
//! Owns the wire. Decides nothing about sessions: it asks [`browserd_fleet::Fleet`] and shows what
//! it answers. Interprets no guest request: it relays bytes both ways.
//!
//! ```text
//!            ┌ /health /status /docs /spec.* ─────────────── open
//!  client ──▶│ /browsers …      Authorization: Bearer key ──▶ fleet
//!            │ /browsers/{}/process …  Bearer key ──▶ relay ──▶ guest (unix socket)
//!            │ /browser/kernel/process …  ?jwt= ────▶ relay ──▶ guest
//!            │ /browsers/{}/replays   Bearer key ──▶ store, blobs, guest
//!            │ /proxies …             Bearer key ──▶ store, fleet
//!            │ /profiles …            Bearer key ──▶ store, blobs, guest
//!            │ /browser/replays           ?jwt= ────▶ blobs
//!            │ /browser/cdp …             ?jwt= ────▶ tunnel ─▶ Chromium (handed-over socket)
//!            └ /browser/webdriver …       ?jwt= ────▶ tunnel ─▶ guest
//! ```

mod app;
mod auth;
#[cfg(test)]
mod bodies;
mod browsers;
mod caller;
mod cdp;
mod config;
mod contract;
mod docs;
mod fields;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod keys;
#[cfg(test)]
mod layers;
mod metrics;
mod openapi;
mod profiles;
mod proxies;
mod public_url;
mod query;
mod refusal;
mod relay;
mod replays;
mod resource;
mod router;
mod serve;
mod status;
mod token;
mod tunnel;
mod webdriver;
mod wire;

pub use caller::Permissions;
pub use config::ServerConfig;
pub use docs::yaml;
pub use keys::{ApiKey, ApiKeys};
pub use profiles::Profiles;
pub use replays::{Recordings, Retention};
pub use router::document;
pub use serve::Server;
pub use token::TokenSecret;
