//! The contract: what crosses the wire between browserd and its clients.
//!
//! Owns wire types, ids, times, error codes and the list of operations of the public API.
//! Does no I/O and knows no HTTP framework; every other crate may depend on it.

pub mod auth;
pub mod browser;
pub mod computer;
pub mod curl;
pub mod error;
pub mod extensions;
pub mod fs;
pub mod ids;
pub mod logs;
pub mod operations;
pub mod playwright;
pub mod process;
pub mod profiles;
pub mod proxies;
pub mod repl;
pub mod replays;
pub mod secret;
pub mod time;

pub use error::{ApiError, ErrorBody, ErrorCode, ErrorDetail};
pub use ids::{ProcessId, ProfileId, ProjectId, ProxyId, ReplayId, SessionId};
pub use time::Timestamp;
