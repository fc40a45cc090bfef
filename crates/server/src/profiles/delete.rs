//! `DELETE /profiles/{id_or_name}`.

use axum::extract::{Path, State};
use browserd_rest::{Error, Result};
use http::StatusCode;

use super::{find, kept, key, not_found};
use crate::app::App;
use browserd_store::StoreError;

/// Delete a profile
///
/// With all that was saved. Sessions that have it go on, and save nothing when they end.
#[utoipa::path(delete, path = "/profiles/{id_or_name}", operation_id = "profiles.delete", tag = "profiles",
    params(("id_or_name" = String, Path, description = "Id or name of the profile.")),
    responses((status = 204, description = "The profile is gone.")))]
pub(crate) async fn delete(
    State(app): State<App>,
    Path(id_or_name): Path<String>,
) -> Result<StatusCode> {
    let id = find(&app, &id_or_name).await?.id;
    let saved = app.fleet.store().profiles().delete(&id).await.map_err(|error| match error {
        StoreError::NotFound => not_found(&id_or_name),
        other => Error::internal(other),
    })?;
    if let Some(saved) = saved {
        kept(&app)?.remove(&key(&id, &saved)?).await;
    }
    Ok(StatusCode::NO_CONTENT)
}
