//! `POST /profiles`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use browserd_api::profiles::Profile;
use browserd_api::{ProfileId, Timestamp};
use browserd_rest::{Optional, Result};
use browserd_store::ProfileRow;
use http::StatusCode;

use super::validate::{self, CreateProfile};
use super::{kept, refused, show};
use crate::app::App;
use crate::browsers::{Unchecked, ignored};

/// Create a profile
///
/// With nothing in it. A session that takes it with `save_changes` fills it when it ends.
///
/// Fields this version does not know are ignored and named in `x-browserd-ignored-fields`.
#[utoipa::path(post, path = "/profiles", operation_id = "profiles.create", tag = "profiles",
    request_body(content = Option<CreateProfile>, description = "What the profile is called."),
    responses((status = 201, description = "The profile.", body = Profile,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know.")))))]
pub(crate) async fn create(
    State(app): State<App>,
    Optional(Unchecked(body)): Optional<Unchecked>,
) -> Result<Response> {
    let (name, unknown) = validate::read(&body, false)?;
    kept(&app)?;
    let row = ProfileRow {
        id: ProfileId::generate(),
        name,
        created_at: Timestamp::now(),
        updated_at: None,
        last_used_at: None,
        saved: None,
    };
    if let Err(error) = app.fleet.store().profiles().insert(&row).await {
        let name = row.name.unwrap_or_default();
        return Err(refused(&app, &name, &name, error).await);
    }
    let mut response = (StatusCode::CREATED, Json(show(row))).into_response();
    ignored::name_in_header(response.headers_mut(), &unknown);
    Ok(response)
}
