//! `PATCH /browsers/{id_or_name}`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use browserd_api::browser::{Browser, Location};
use browserd_api::{ApiError, ErrorCode};
use browserd_fleet::{SessionPatch, SessionView};
use browserd_rest::{Error, Optional, Result};
use serde_json::json;

use super::validate::{Change, NO_PROFILE, UpdateBrowser};
use super::{Unchecked, ignored, validate, view};
use crate::app::App;
use crate::caller::Caller;
use crate::replays::Replays;
use crate::wire::log::AboutSession;
use crate::{profiles, proxies, refusal, relay};

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
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know.")))))]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(id_or_name): Path<String>,
    Optional(Unchecked(body)): Optional<Unchecked>,
) -> Result<Response> {
    let (change, unknown) = validate::update(&body)?;
    let session = apply(&app, &caller, &id_or_name, change).await?;
    let browser: Browser = view::show(&app, &caller.project, &session)?;
    let mut response = Json(browser).into_response();
    ignored::name_in_header(response.headers_mut(), &unknown);
    response.extensions_mut().insert(AboutSession(session.id));
    Ok(response)
}

async fn refuse_while_recorded(app: &App, caller: &Caller, id_or_name: &str) -> Result<()> {
    let live = app.sessions(&caller.project).live(id_or_name).map_err(refusal::from_fleet)?;
    let mine = app.mine::<Replays>(&caller.project);
    let replays = mine.rows().of_session(live.id()).await.map_err(Error::internal)?;
    match replays.iter().find(|replay| replay.end.is_none()) {
        None => Ok(()),
        Some(replay) => Err(Error(
            ApiError::new(
                ErrorCode::BeingRecorded,
                "the screen is being recorded; set viewport.force to change its size all the same",
            )
            .detail("replay_id", replay.id.to_string()),
        )),
    }
}

/// Makes a change step by step: first what may be refused and costs nothing, then the browser's
/// part, each recorded once it is true.
async fn apply(
    app: &App,
    caller: &Caller,
    id_or_name: &str,
    change: Change,
) -> Result<SessionView> {
    let sessions = app.sessions(&caller.project);
    let SessionPatch { name, tags, viewport, timezone, locale, start_url, timeout_seconds, .. } =
        change.patch;
    if viewport.is_some() && !change.force {
        refuse_while_recorded(app, caller, id_or_name).await?;
    }
    let record =
        async |id: &str, patch| sessions.update(id, patch).await.map_err(refusal::from_fleet);
    let profile = match change.profile {
        Some(asked) => {
            let has = sessions.find(id_or_name, false).await.map_err(refusal::from_fleet)?;
            let why = match &has.config.profile {
                Some(_) => Some("the session has a profile already; create another session"),
                None if app.config.headless_shell && has.config.headless => Some(NO_PROFILE),
                None => None,
            };
            if let Some(why) = why {
                return Err(Error(ApiError::field("profile", why)));
            }
            Some((profiles::take(app, &caller.project, &asked).await?, asked.save_changes))
        }
        None => None,
    };
    let mut stays = None;
    let mut way_out = None;
    if let Some(asked) = change.proxy {
        stays = Some(app.proxies.stay().await);
        way_out = Some(proxies::way_out(app, &caller.project, asked).await?);
    }
    let labels = SessionPatch { name, tags, timeout_seconds, ..SessionPatch::default() };
    let mut session = record(id_or_name, labels).await?;
    let id = session.id.clone();
    let live = sessions.live(id.as_str()).map_err(refusal::from_fleet)?;
    if let Some((proxy, route)) = way_out {
        live.route(route).await.map_err(|error| refusal::no_route(&live, &error))?;
        let patch = SessionPatch { proxy: Some(proxy), ..SessionPatch::default() };
        session = record(id.as_str(), patch).await?;
    }
    drop(stays);
    if let Some((row, save_changes)) = profile {
        let profile = Some(profiles::load(app, &live, row, save_changes).await?);
        let patch = SessionPatch { profile, ..SessionPatch::default() };
        session = record(id.as_str(), patch).await?;
    }
    if let Some(viewport) = viewport {
        relay::ask(app, &live, "/internal/viewport", &json!(viewport)).await?;
        let patch = SessionPatch { viewport: Some(viewport), ..SessionPatch::default() };
        session = record(id.as_str(), patch).await?;
    }
    if timezone.is_some() || locale.is_some() {
        let patch = SessionPatch { timezone, locale, ..SessionPatch::default() };
        session = record(id.as_str(), patch).await?;
        let Location { timezone, locale, .. } =
            view::location(app, session.config.location.clone());
        let body = json!({ "timezone": timezone, "locale": locale });
        relay::ask(app, &live, "/internal/location", &body).await?;
    }
    if let Some(url) = start_url {
        relay::ask(app, &live, "/internal/start_url", &json!({ "url": url })).await?;
        let patch = SessionPatch { start_url: Some(url), ..SessionPatch::default() };
        session = record(id.as_str(), patch).await?;
    }
    Ok(session)
}
