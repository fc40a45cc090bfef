//! `PATCH /profiles/{id_or_name}`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use browserd_api::profiles::Profile;
use browserd_rest::Result;
use serde_json::Value;

use super::validate::{self, UpdateProfile};
use super::{find, refused, show};
use crate::app::App;
use crate::browsers::ignored;

/// Rename a profile
///
/// Sessions that have it keep saving into it: they know it by its id.
#[utoipa::path(patch, path = "/profiles/{id_or_name}", operation_id = "profiles.update", tag = "profiles",
    params(("id_or_name" = String, Path, description = "Id or name of the profile.")),
    request_body(content = UpdateProfile, description = "The new name."),
    responses((status = 200, description = "The profile after the change.", body = Profile,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know.")))))]
pub(crate) async fn update(
    State(app): State<App>,
    Path(id_or_name): Path<String>,
    browserd_rest::Json(body): browserd_rest::Json<Value>,
) -> Result<Response> {
    let (name, unknown) = validate::read(&body, true)?;
    let name = name.unwrap_or_default();
    let id = find(&app, &id_or_name).await?.id;
    let row = match app.fleet.store().profiles().rename(&id, &name).await {
        Ok(row) => row,
        Err(error) => return Err(refused(&app, &id_or_name, &name, error).await),
    };
    let mut response = Json(show(row)).into_response();
    ignored::name_in_header(response.headers_mut(), &unknown);
    Ok(response)
}
