//! How long a body may be, so that a refusal can say it.

use axum::Extension;
use axum::extract::DefaultBodyLimit;

/// The longest body of a route, bytes; an extension of its requests.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub(crate) usize);

/// A layer that has routes read bodies of at most so many bytes, and say so.
pub fn body_limit(bytes: usize) -> (DefaultBodyLimit, Extension<BodyLimit>) {
    (DefaultBodyLimit::max(bytes), Extension(BodyLimit(bytes)))
}
