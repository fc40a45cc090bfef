//! Liveness, the status page's data, and the front door.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRef, State};
use axum::response::{Html, IntoResponse, Response};
use browserd_rest::{Refused, Result, refusals};
use browserd_store::{Store, StoreError};
use http::{HeaderMap, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::resource::refusals::{from_store, unavailable};

refusals! {
    /// Looking whether the server works.
    CheckHealth: DatabaseUnavailable, Internal;
}

/// Answer of the liveness check.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// State of the service, in the shape the official CLI prints.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    /// `operational`, or the worst state of a component.
    status: &'static str,
    /// Components by theme.
    groups: Vec<StatusGroup>,
}

/// Components that belong together.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusGroup {
    /// Name for people.
    name: &'static str,
    /// The worst state of its components.
    status: &'static str,
    /// Its components.
    components: Vec<StatusComponent>,
}

/// One part of the service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusComponent {
    /// Name for people.
    name: &'static str,
    /// `operational`, `degraded_performance`, `partial_outage`, `full_outage` or `maintenance`.
    status: &'static str,
}

/// Whether the server works
///
/// Needs no key. Is refused while the database cannot be written: sessions that run go on, and everything
/// that is to be recorded is refused.
#[utoipa::path(get, path = "/health", operation_id = "health", tag = "server",
    responses((status = 200, description = "The server answers, and its database can be written.", body = Health),
        Refused<CheckHealth>))]
pub(crate) async fn health(State(store): State<Arc<dyn Store>>) -> Result<Json<Health>> {
    match store.check().await {
        Ok(()) => Ok(Json(Health { status: "ok" })),
        // The store has it in the log; this is asked often.
        Err(StoreError::Unavailable { outage, .. }) => Err(unavailable(outage)),
        Err(other) => Err(from_store(other)),
    }
}

/// State of the service
///
/// Needs no key. The shape is the one `kernel status` reads.
#[utoipa::path(get, path = "/status", operation_id = "status", tag = "server",
    responses((status = 200, description = "State of every part.", body = Status)))]
pub(crate) async fn status(State(store): State<Arc<dyn Store>>) -> Json<Status> {
    // A server that shuts down refuses new sessions and is gone soon: until then all but its database works,
    // or there is no answer.
    let component = |name, status| StatusComponent { name, status };
    let up = "operational";
    let database = if store.check().await.is_ok() { up } else { "full_outage" };
    Json(Status {
        status: database,
        groups: vec![StatusGroup {
            name: "browserd",
            status: database,
            components: vec![
                component("API", up),
                component("Browser sessions", up),
                component("Processes", up),
                component("Database", database),
            ],
        }],
    })
}

/// Where to go from here
///
/// Needs no key. HTML for browsers, plain text for everything else.
#[utoipa::path(get, path = "/", operation_id = "root", tag = "server",
    responses((status = 200, description = "A pointer to the documents.",
        content((String = "text/plain"), (String = "text/html")))))]
pub(crate) async fn root(headers: HeaderMap) -> Response {
    let html = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if html {
        return Html(concat!(
            "<!doctype html><html lang=en><meta charset=utf-8><title>browserd</title>",
            "<meta name=color-scheme content='light dark'>",
            "<body style='font:16px/1.5 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem'>",
            "<h1>browserd</h1><p>A browser cloud on your own machine.</p>",
            "<ul><li><a href='docs'>API reference</a><li><a href='spec.json'>OpenAPI document (JSON)</a>",
            "<li><a href='spec.yaml'>OpenAPI document (YAML)</a><li><a href='llms.txt'>llms.txt</a></ul>",
        ))
        .into_response();
    }
    "browserd: a browser cloud on your own machine.\nGET /docs for people, /llms.txt for agents, /spec.json for machines.\n"
        .into_response()
}

/// All routes of this module, with their document.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<dyn Store>: FromRef<S>,
{
    OpenApiRouter::default().routes(routes!(root)).routes(routes!(health)).routes(routes!(status))
}
