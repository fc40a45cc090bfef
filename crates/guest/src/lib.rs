//! The guest: PID 1 inside a session's walls.
//!
//! Owns the reaping of everything inside, the session's own HTTP API (one module a subresource)
//! and the programs that make the session: Chromium, its X server, its driver. Knows no fleet and
//! no client: `serve` authenticates and relays.

pub mod browser;
pub mod door;
mod drain;
pub mod environment;
pub mod http;
pub mod init;
mod locale;
pub mod playwright;
pub mod process;
mod refusals;
pub mod repl;
mod run;
mod runner;
pub mod session;
pub mod webdriver;

pub use http::openapi;
pub use run::{Guest, run};
