//! Who asks.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use browserd_api::ProjectId;
use browserd_rest::Error;
use http::request::Parts;

/// Who asks, as authentication found out. Handlers take it as an argument, and whatever is looked up, made
/// or changed for it is its project's.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The id of the key it came with, which is not the key.
    pub(crate) key: Arc<str>,
    /// The project it acts in.
    pub(crate) project: ProjectId,
    /// What it may do there.
    pub(crate) permissions: Permissions,
}

/// What a caller may do in its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permissions {
    /// Everything.
    All,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Error::internal("a route that takes no key asks who calls"))
    }
}
