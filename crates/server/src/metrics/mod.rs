//! `GET /metrics`.

mod http;
mod process;

use ::http::header;
use axum::extract::{FromRef, State};
use axum::response::{IntoResponse, Response};
use browserd_fleet::Fleet;
use browserd_rest::{Error, Result};
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use http::HttpMetrics;

/// What the text is (`OpenMetrics` 1.0, section 4).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Fleet: FromRef<S>,
    HttpMetrics: FromRef<S>,
{
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Figures for Prometheus
///
/// Extension. Creations by where the session came from, ends by reason, thaws, and how many sessions
/// are active, in standby, or wait in the pool; answers by method, route and status, and how long they took;
/// connections, memory and descriptors of the server, and its version. Durations are in seconds. Give Prometheus an API key as
/// its bearer token.
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", tag = "server",
    responses((status = 200, description = "OpenMetrics text.", body = String,
        content_type = "application/openmetrics-text")))]
pub(crate) async fn metrics(
    State(fleet): State<Fleet>,
    State(http): State<HttpMetrics>,
) -> Result<Response> {
    let mut registry = Registry::default();
    fleet.metrics().register(&mut registry);
    http.register(&mut registry);
    process::register(&mut registry);
    let mut body = String::new();
    text::encode(&mut body, &registry).map_err(Error::internal)?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], body).into_response())
}
