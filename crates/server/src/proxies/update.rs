//! `PATCH /proxies/{id_or_name}`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use browserd_api::proxies::Proxy;
use browserd_rest::Result;
use serde_json::Value;

use super::validate::UpdateProxy;
use super::{changed, find, show, validate};
use crate::app::App;
use crate::browsers::ignored;

/// Rename a proxy
///
/// Everything else is fixed: create another one and give it to the sessions.
#[utoipa::path(patch, path = "/proxies/{id_or_name}", operation_id = "proxies.update", tag = "proxies",
    params(("id_or_name" = String, Path, description = "Id or name of the proxy.")),
    request_body(content = UpdateProxy, description = "The new name."),
    responses((status = 200, description = "The proxy after the change.", body = Proxy,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know.")))))]
pub(crate) async fn update(
    State(app): State<App>,
    Path(id_or_name): Path<String>,
    browserd_rest::Json(body): browserd_rest::Json<Value>,
) -> Result<Response> {
    let (name, unknown) = validate::update(&body)?;
    let id = find(&app, &id_or_name).await?.id;
    let renamed = app.fleet.store().proxies().rename(&id, name.as_deref()).await;
    let mut response = Json(show(renamed.map_err(changed(&id_or_name))?)).into_response();
    ignored::name_in_header(response.headers_mut(), &unknown);
    Ok(response)
}
