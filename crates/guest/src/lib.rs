//! The guest: PID 1 inside a session's walls.
//!
//! Owns the reaping of everything inside, the session's own HTTP API (one module a subresource)
//! and the programs that make the session: Chromium, its X server, its driver. Knows no fleet and
//! no client: `serve` authenticates and relays.

pub mod curl;
pub mod door;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod internal;
pub mod playwright;
pub mod repl;
mod run;
mod runner;
mod signals;
pub mod webdriver;

pub use http::openapi;
pub use run::{Guest, run};
pub use signals::raise_descriptor_limit;
