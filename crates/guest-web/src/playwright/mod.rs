//! Playwright code: scripts that run inside the session, beside its browser.
//!
//! Owns the executors: a Node worker each, warm after its first script, with a connection to
//! Chromium of its own. Named ones own a background tab. Does not interpret scripts.
//!
//! ```text
//!  execute ─▶ turn of the executor ─▶ running Chromium ─▶ tab ─▶ worker ─▶ answer
//!               (one at a time)         (waits for it)           │
//!             timeout, DELETE, client gone, crash ───────────────┴─▶ worker killed, the next
//!                                                                    script gets a fresh one
//! ```

mod call;
mod delete;
mod execute;
mod executor;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod list;
mod routes;
mod table;

pub(crate) use call::no_browser;
pub use routes::routes;
pub use table::Playwright;
