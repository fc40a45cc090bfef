//! `DELETE /profiles/{id_or_name}`.

use axum::extract::{Path, State};
use browserd_rest::{Refused, Result};
use http::StatusCode;

use super::{Profiles, kept, key};
use crate::resource::Mine;
use crate::resource::refusals::Find;

/// Delete a profile
///
/// With all that was saved. Sessions that have it go on, and save nothing when they end.
#[utoipa::path(delete, path = "/profiles/{id_or_name}", operation_id = "profiles.delete", tag = "profiles",
    params(("id_or_name" = String, Path, description = "Id or name of the profile.")),
    responses((status = 204, description = "The profile is gone."),
        Refused<Find<Profiles>>))]
pub(crate) async fn delete(
    State(profiles): State<Option<Profiles>>,
    mine: Mine<Profiles>,
    Path(id_or_name): Path<String>,
) -> Result<StatusCode> {
    let row = mine.delete(&id_or_name).await?;
    if let Some(saved) = row.saved {
        kept(profiles.as_ref())?.remove(&key(mine.project(), &row.id, &saved)?).await;
    }
    Ok(StatusCode::NO_CONTENT)
}
