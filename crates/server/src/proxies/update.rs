//! `PATCH /proxies/{id_or_name}`.

use axum::extract::Path;
use axum::response::Response;
use browserd_api::proxies::Proxy;
use browserd_rest::{ReadBody, Refused, Result};

use super::Proxies;
use super::validate::{self, UpdateProxy};
use crate::fields::Checked;
use crate::resource::refusals::{Find, Write};
use crate::resource::{Mine, changed};

/// Rename a proxy
///
/// Everything else is fixed: create another one and give it to the sessions.
#[utoipa::path(patch, path = "/proxies/{id_or_name}", operation_id = "proxies.update", tag = "proxies",
    params(("id_or_name" = String, Path, description = "Id or name of the proxy.")),
    request_body(content = UpdateProxy, description = "The new name."),
    responses((status = 200, description = "The proxy after the change.", body = Proxy,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know."))),
        Refused<(ReadBody, Find<Proxies>, Write<Proxies>)>))]
pub(crate) async fn update(
    mine: Mine<Proxies>,
    Path(id_or_name): Path<String>,
    browserd_rest::Json(body): browserd_rest::Json<Checked<UpdateProxy>>,
) -> Result<Response> {
    let (name, ignored) = validate::update(body)?;
    let row = mine.update(&id_or_name, |row| row.name.clone_from(&name)).await?;
    Ok(changed::<Proxies>(row, &ignored))
}
