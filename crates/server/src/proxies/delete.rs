//! `DELETE /proxies/{id_or_name}`.

use axum::extract::{Path, State};
use browserd_fleet::Fleet;
use browserd_rest::{Error, Refused, Result};
use http::StatusCode;

use super::Proxies;
use crate::resource::refusals::Find;
use crate::resource::{Mine, refused};

/// Delete a proxy
///
/// Sessions that go through it stay, and reach nothing until they are given another egress route: their
/// traffic does not leave by a way nobody asked for.
#[utoipa::path(delete, path = "/proxies/{id_or_name}", operation_id = "proxies.delete", tag = "proxies",
    params(("id_or_name" = String, Path, description = "Id or name of the proxy.")),
    responses((status = 204, description = "The proxy is gone, and nothing goes through it any more."),
        Refused<Find<Proxies>>))]
pub(crate) async fn delete(
    State(fleet): State<Fleet>,
    mine: Mine<Proxies>,
    Path(id_or_name): Path<String>,
) -> Result<StatusCode> {
    let row = mine.find(&id_or_name).await?;
    // In a task of its own: a client that hangs up meanwhile must not leave sessions going through it.
    let deleting = tokio::spawn(async move {
        // First, so that nobody takes it any more; who has it by now, or is just getting it, is found.
        mine.rows().delete(&row.id).await?;
        fleet.close_proxy(&row.id).await;
        Ok(())
    });
    let deleted = deleting.await.map_err(Error::internal)?;
    deleted.map_err(|error| refused::<Proxies>(error, &id_or_name, None))?;
    Ok(StatusCode::NO_CONTENT)
}
