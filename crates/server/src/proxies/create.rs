//! `POST /proxies`.

use axum::response::Response;
use browserd_api::proxies::Proxy;
use browserd_api::{ProxyId, Timestamp};
use browserd_rest::{ReadBody, Refused, Result};
use browserd_store::ProxyRow;

use super::Proxies;
use super::validate::{self, CreateProxy};
use crate::fields::Checked;
use crate::resource::refusals::Write;
use crate::resource::{Mine, created};

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
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know."))),
        Refused<(ReadBody, Write<Proxies>)>))]
pub(crate) async fn create(
    mine: Mine<Proxies>,
    browserd_rest::Json(body): browserd_rest::Json<Checked<CreateProxy>>,
) -> Result<Response> {
    let ((name, upstream), ignored) = validate::create(body)?;
    let (id, created_at) = (ProxyId::generate(), Timestamp::now());
    let row = ProxyRow { id, name, upstream, created_at, checked: None };
    mine.insert(&row).await?;
    Ok(created::<Proxies>(row, &ignored))
}
