//! `GET /profiles/{id_or_name}`.

use axum::Json;
use axum::extract::Path;
use browserd_api::profiles::Profile;
use browserd_rest::{Refused, Result};

use super::Profiles;
use crate::resource::refusals::Find;
use crate::resource::{Mine, Shown as _};

/// Get a profile
///
/// By id or name.
#[utoipa::path(get, path = "/profiles/{id_or_name}", operation_id = "profiles.retrieve", tag = "profiles",
    params(("id_or_name" = String, Path, description = "Id or name of the profile.")),
    responses((status = 200, description = "The profile.", body = Profile),
        Refused<Find<Profiles>>))]
pub(crate) async fn get(
    mine: Mine<Profiles>,
    Path(id_or_name): Path<String>,
) -> Result<Json<Profile>> {
    Ok(Json(Profiles::show(mine.find(&id_or_name).await?)))
}
