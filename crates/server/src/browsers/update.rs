//! `PATCH /browsers/{id_or_name}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use browserd_api::browser::Browser;
use browserd_rest::{Optional, ReadBody, Refused, Result, refusals};

use super::services::Services;
use super::validate::UpdateBrowser;
use super::{Browsers, TakeProfile, ignored, validate, view};
use crate::caller::Sessions;
use crate::fields::Checked;
use crate::proxies::Proxies;
use crate::refusal::{self, FindSession};
use crate::resource::refusals::Find;
use crate::wire::log::AboutSession;

refusals! {
    /// Changing a session that runs.
    pub(crate) ChangeSession: AlreadyExists, BeingRecorded, Conflict, UpstreamUnavailable, Internal;
}

/// Change a browser session
///
/// Name, tags, timeout, proxy, profile, viewport, location and start URL of a running session. What is
/// left out stays as it is; `tags` replaces all of them. Nothing restarts and no client is disconnected. Changes
/// are applied in this order: name, tags, timeout, proxy, profile, viewport, location, start URL; where one fails, the
/// earlier ones stay and the later ones are not made. A location that Chromium does not take over in
/// time stays recorded: ask again. Settings fixed at creation, and those a later version
/// will change, are refused by name before anything changes.
#[utoipa::path(patch, path = "/browsers/{id_or_name}", operation_id = "browsers.update", tag = "browsers",
    params(("id_or_name" = String, Path, description = "Id or name of the session.")),
    request_body(content = Option<UpdateBrowser>, description = "What shall change."),
    responses((status = 200, description = "The session after the change.", body = Browser,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know."))),
        Refused<(ReadBody, FindSession, Find<Proxies>, TakeProfile, ChangeSession)>))]
pub(crate) async fn update(
    State(browsers): State<Arc<Browsers>>,
    sessions: Sessions,
    Path(id_or_name): Path<String>,
    Optional(body): Optional<Checked<UpdateBrowser>>,
) -> Result<Response> {
    let (change, unknown) = validate::update(body)?;
    let services = Services::new(&browsers, sessions.project());
    let changed = sessions.change(&id_or_name, change, services).await;
    let session = changed.map_err(refusal::from_fleet)?;
    let browser: Browser = view::show(&browsers, &sessions, &session)?;
    let mut response = Json(browser).into_response();
    ignored::name_in_header(response.headers_mut(), &unknown);
    response.extensions_mut().insert(AboutSession(session.id));
    Ok(response)
}
