//! `POST /browsers`.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use browserd_api::browser::Browser;
use browserd_rest::{Optional, Result};

use super::validate::{CreateBrowser, Defaults};
use super::{Unchecked, ignored, validate, view};
use crate::app::App;
use crate::refusal;
use crate::wire::log::AboutSession;

/// Create a browser session
///
/// Answers when clients can connect: one page, `about:blank`, is open. Every field may be left out,
/// and so may the body. A client that goes away before the answer leaves no session behind.
///
/// Fields this version does not know are ignored and named in `x-browserd-ignored-fields`.
#[utoipa::path(post, path = "/browsers", operation_id = "browsers.create", tag = "browsers",
    request_body(content = Option<CreateBrowser>, description = "What the session shall be."),
    responses((status = 200, description = "The session, ready for clients.", body = Browser,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know.")))))]
pub(crate) async fn create(
    State(app): State<App>,
    Optional(Unchecked(body)): Optional<Unchecked>,
) -> Result<Response> {
    let defaults = Defaults { region: app.config.region_default };
    let (new, unknown) = validate::create(&body, &defaults)?;
    let session = app.fleet.create(new).await.map_err(refusal::from_fleet)?;
    let browser: Browser = view::show(&app, &session)?;
    let mut response = Json(browser).into_response();
    ignored::name_in_header(response.headers_mut(), &unknown);
    response.extensions_mut().insert(AboutSession(session.id));
    Ok(response)
}
