//! The browsers resource: create, list, get, change, delete. One file an action.

mod create;
mod delete;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod get;
mod list;
mod services;
mod update;
pub(crate) mod validate;
mod view;

use axum::extract::DefaultBodyLimit;
use browserd_rest::refusals;
use serde::Deserialize;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::resource::ignored;

refusals! {
    /// Taking the profile that a session is to have.
    pub(crate) TakeProfile: ProfileNotFound, Conflict, Internal;
}

/// All routes of the resource, with their document.
pub(crate) fn routes(create_limit: usize, json_limit: usize) -> OpenApiRouter<App> {
    let create = OpenApiRouter::default()
        .routes(routes!(create::create))
        .layer(DefaultBodyLimit::max(create_limit));
    let rest = OpenApiRouter::default()
        .routes(routes!(list::list))
        .routes(routes!(get::get, delete::delete, update::update))
        .layer(DefaultBodyLimit::max(json_limit));
    create.merge(rest)
}

/// A JSON body before it is checked; an absent one asks for nothing.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Unchecked(pub(crate) Value);

impl Default for Unchecked {
    fn default() -> Self {
        Self(Value::Object(serde_json::Map::new()))
    }
}
