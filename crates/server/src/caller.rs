//! Who asks, and the sessions it has.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use browserd_api::ProjectId;
use browserd_fleet::{Fleet, ProjectFleet};
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

/// The sessions of the caller's project, as an argument of handlers.
#[derive(Clone)]
pub(crate) struct Sessions {
    project: ProjectId,
    sessions: ProjectFleet,
}

impl Sessions {
    /// Whose they are.
    pub(crate) fn project(&self) -> &ProjectId {
        &self.project
    }
}

impl Deref for Sessions {
    type Target = ProjectFleet;

    fn deref(&self) -> &ProjectFleet {
        &self.sessions
    }
}

impl<S> FromRequestParts<S> for Sessions
where
    S: Send + Sync,
    Fleet: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Caller { project, .. } = Caller::from_request_parts(parts, state).await?;
        let sessions = Fleet::from_ref(state).project(&project);
        Ok(Self { project, sessions })
    }
}
