//! `PATCH /profiles/{id_or_name}`.

use axum::extract::Path;
use axum::response::Response;
use browserd_api::profiles::Profile;
use browserd_rest::{ReadBody, Refused, Result};
use serde_json::Value;

use super::Profiles;
use super::validate::{self, UpdateProfile};
use crate::resource::refusals::{Find, Write};
use crate::resource::{Mine, changed};

/// Rename a profile
///
/// Sessions that have it keep saving into it: they know it by its id.
#[utoipa::path(patch, path = "/profiles/{id_or_name}", operation_id = "profiles.update", tag = "profiles",
    params(("id_or_name" = String, Path, description = "Id or name of the profile.")),
    request_body(content = UpdateProfile, description = "The new name."),
    responses((status = 200, description = "The profile after the change.", body = Profile,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know."))),
        Refused<(ReadBody, Find<Profiles>, Write<Profiles>)>))]
pub(crate) async fn update(
    mine: Mine<Profiles>,
    Path(id_or_name): Path<String>,
    browserd_rest::Json(body): browserd_rest::Json<Value>,
) -> Result<Response> {
    let (name, unknown) = validate::read(&body, true)?;
    let row = mine.update(&id_or_name, |row| row.name.clone_from(&name)).await?;
    Ok(changed::<Profiles>(row, &unknown))
}
