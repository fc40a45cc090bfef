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
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::resource::ignored;

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
