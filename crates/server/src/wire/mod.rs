//! What every request passes before a handler sees it: an id, a line in the access log, a bound on
//! its head, its client's deadline, its key, its project.

pub(crate) mod auth;
pub(crate) mod deadline;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub(crate) mod head;
pub(crate) mod linger;
pub(crate) mod log;
pub(crate) mod project;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};

use crate::keys::ApiKeys;

/// Puts routes behind an API key, in the project of whoever has it.
pub(crate) fn require_key<S: Clone + Send + Sync + 'static>(
    keys: ApiKeys,
    routes: Router<S>,
) -> Router<S> {
    routes
        .route_layer(from_fn(project::require_own))
        .route_layer(from_fn_with_state(keys, auth::require_key))
}
