//! `POST /proxies`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use browserd_api::proxies::Proxy;
use browserd_api::{ProxyId, Timestamp};
use browserd_rest::{Error, Result};
use browserd_store::ProxyRow;
use http::StatusCode;
use serde_json::Value;

use super::{show, validate};
use crate::app::App;
use crate::browsers::ignored;
use validate::CreateProxy;

/// Create a proxy
///
/// A proxy of your own, for sessions to go out through: HTTP, HTTPS or SOCKS5, with or without
/// credentials. Its password is never shown again. Sessions dial it under the server's own rules: one
/// in a private network must be in `allowed_private_hosts`. It is not contacted until it is checked
/// or used.
///
/// Fields this version does not know are ignored and named in `x-browserd-ignored-fields`.
#[utoipa::path(post, path = "/proxies", operation_id = "proxies.create", tag = "proxies",
    request_body(content = CreateProxy, description = "What the proxy is."),
    responses((status = 201, description = "The proxy.", body = Proxy,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know.")))))]
pub(crate) async fn create(
    State(app): State<App>,
    browserd_rest::Json(body): browserd_rest::Json<Value>,
) -> Result<Response> {
    let (name, upstream, unknown) = validate::create(&body)?;
    let (id, created_at) = (ProxyId::generate(), Timestamp::now());
    let row = ProxyRow { id, name, upstream, created_at, checked: None };
    app.fleet.store().proxies().insert(&row).await.map_err(Error::internal)?;
    let mut response = (StatusCode::CREATED, Json(show(row))).into_response();
    ignored::name_in_header(response.headers_mut(), &unknown);
    Ok(response)
}
