//! What the two HTTP faces, server and guest, have in common: one shape of refusal and how it is
//! described, one way to read JSON, the answers for unknown paths and methods, files on their way out.
//!
//! Routes nothing and knows no resource.

mod body_limit;
mod error;
mod fallback;
pub mod file;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod json;
mod refusals;

pub use body_limit::{BodyLimit, body_limit};
pub use error::Error;
pub use fallback::{Verbatim, envelope, method_not_allowed, route_not_found};
pub use json::{Json, Optional};
pub use refusals::{ReadBody, ReadPath, ReadQuery, Refusals, Refused, declare, describe};

// For `refusals!`.
#[doc(hidden)]
pub use browserd_api::ErrorCode;

/// The result of a handler.
pub type Result<T> = std::result::Result<T, Error>;
