//! `GET /proxies/{id_or_name}`.

use axum::Json;
use axum::extract::Path;
use browserd_api::proxies::Proxy;
use browserd_rest::{Refused, Result};

use super::Proxies;
use crate::resource::refusals::Find;
use crate::resource::{Mine, Shown as _};

/// Get a proxy
///
/// By id, or by a name that only one has.
#[utoipa::path(get, path = "/proxies/{id_or_name}", operation_id = "proxies.retrieve", tag = "proxies",
    params(("id_or_name" = String, Path, description = "Id or name of the proxy.")),
    responses((status = 200, description = "The proxy.", body = Proxy),
        Refused<Find<Proxies>>))]
pub(crate) async fn get(
    mine: Mine<Proxies>,
    Path(id_or_name): Path<String>,
) -> Result<Json<Proxy>> {
    Ok(Json(Proxies::show(mine.find(&id_or_name).await?)))
}
