//! `PATCH /profiles/{id_or_name}`.

use axum::extract::Path;
use axum::response::Response;
use browserd_api::profiles::Profile;
use browserd_rest::{ReadBody, Refused, Result};

use super::Profiles;
use super::validate::UpdateProfile;
use crate::fields::Checked;
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
    browserd_rest::Json(body): browserd_rest::Json<Checked<UpdateProfile>>,
) -> Result<Response> {
    let (asked, ignored) = body.finish()?;
    let row = mine.update(&id_or_name, |row| row.name = Some(asked.name.clone())).await?;
    Ok(changed::<Profiles>(row, &ignored))
}
