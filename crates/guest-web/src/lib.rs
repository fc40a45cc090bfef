//! What clients have the browser do by program: requests through it, Playwright code, a REPL,
//! `WebDriver`.
//!
//! Owns the routes below `/curl`, `/playwright`, `/repl` and `/webdriver`, the workers that run
//! clients' code, and the driver. Starts no Chromium and interprets no script.

pub mod curl;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod playwright;
pub mod repl;
mod runner;
pub mod webdriver;

pub use runner::Kit;
