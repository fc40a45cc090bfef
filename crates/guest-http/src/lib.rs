//! HTTP as every route of the guest speaks it.
//!
//! Owns the listener, the counts of requests, and what routes have in common: queries, event
//! streams, WebSocket handshakes, and the refusals of the API document. Knows no route and no session; what the server
//! needs as well is in `rest`.

mod drain;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod listener;
mod query;
pub mod refusals;
pub mod requests;
pub mod sse;
pub mod websocket;

pub use listener::serve;
pub use query::Query;
