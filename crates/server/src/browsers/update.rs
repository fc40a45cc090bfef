//! `PATCH /browsers/{id_or_name}`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use browserd_api::browser::Browser;
use browserd_rest::{Optional, Result};

use super::validate::UpdateBrowser;
use super::{Unchecked, ignored, validate, view};
use crate::app::App;
use crate::refusal;
use crate::wire::log::AboutSession;

/// Change a browser session
///
/// Name and tags of a running session. What is left out stays as it is; `tags` replaces all of
/// them. Settings fixed at creation, and those a later version will change, are refused by name.
#[utoipa::path(patch, path = "/browsers/{id_or_name}", operation_id = "browsers.update", tag = "browsers",
    params(("id_or_name" = String, Path, description = "Id or name of the session.")),
    request_body(content = Option<UpdateBrowser>, description = "What shall change."),
    responses((status = 200, description = "The session after the change.", body = Browser,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know.")))))]
pub(crate) async fn update(
    State(app): State<App>,
    Path(id_or_name): Path<String>,
    Optional(Unchecked(body)): Optional<Unchecked>,
) -> Result<Response> {
    let (patch, unknown) = validate::update(&body)?;
    let session = app.fleet.update(&id_or_name, patch).await.map_err(refusal::from_fleet)?;
    let browser: Browser = view::show(&app, &session)?;
    let mut response = Json(browser).into_response();
    ignored::name_in_header(response.headers_mut(), &unknown);
    response.extensions_mut().insert(AboutSession(session.id));
    Ok(response)
}
