//! `GET /profiles/{id_or_name}`.

use axum::Json;
use axum::extract::{Path, State};
use browserd_api::profiles::Profile;
use browserd_rest::Result;

use super::{find, show};
use crate::app::App;

/// Get a profile
///
/// By id or name.
#[utoipa::path(get, path = "/profiles/{id_or_name}", operation_id = "profiles.retrieve", tag = "profiles",
    params(("id_or_name" = String, Path, description = "Id or name of the profile.")),
    responses((status = 200, description = "The profile.", body = Profile)))]
pub(crate) async fn get(
    State(app): State<App>,
    Path(id_or_name): Path<String>,
) -> Result<Json<Profile>> {
    Ok(Json(show(find(&app, &id_or_name).await?)))
}
