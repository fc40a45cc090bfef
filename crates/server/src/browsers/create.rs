//! `POST /browsers`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use browserd_api::browser::Browser;
use browserd_fleet::Stages;
use browserd_rest::{Optional, Result};
use http::{HeaderName, HeaderValue};

use super::validate::{CreateBrowser, Creation, Defaults};
use super::{Unchecked, ignored, validate, view};
use crate::app::App;
use crate::wire::log::AboutSession;
use crate::{proxies, refusal};

/// Create a browser session
///
/// Answers when clients can connect: one page, `about:blank`, is open. Every field may be left out,
/// and so may the body. A client that goes away before the answer leaves no session behind.
///
/// Fields this version does not know are ignored and named in `x-browserd-ignored-fields`.
#[utoipa::path(post, path = "/browsers", operation_id = "browsers.create", tag = "browsers",
    request_body(content = Option<CreateBrowser>, description = "What the session shall be."),
    responses((status = 200, description = "The session, ready for clients.", body = Browser,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know."),
            ("server-timing" = String, description = "Milliseconds of each stage: `admit` (waiting for a place), `store`, and `claim` of a session that was ready or `start` of a new one.")))))]
pub(crate) async fn create(
    State(app): State<App>,
    Optional(Unchecked(body)): Optional<Unchecked>,
) -> Result<Response> {
    let defaults =
        Defaults { region: app.config.region_default, headless_shell: app.config.headless_shell };
    let (Creation { mut new, proxy }, unknown) = validate::create(&body, &defaults)?;
    // A proxy stays until the session that is to have it is known to go through it.
    let mut _stays = None;
    if let Some(asked) = proxy {
        _stays = Some(app.proxies.stay().await);
        (new.config.proxy, new.route) = proxies::way_out(&app, asked).await?;
    }
    let (session, stages) = app.fleet.create(new).await.map_err(refusal::from_fleet)?;
    let browser: Browser = view::show(&app, &session)?;
    let mut response = Json(browser).into_response();
    ignored::name_in_header(response.headers_mut(), &unknown);
    response.headers_mut().insert(SERVER_TIMING, server_timing(&stages));
    response.extensions_mut().insert(AboutSession(session.id));
    Ok(response)
}

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What a creation's time went into, milliseconds (W3C Server Timing).
fn server_timing(stages: &Stages) -> HeaderValue {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let start = if stages.from_pool { "claim" } else { "start" };
    let text = format!(
        "admit;dur={:.2}, store;dur={:.2}, {start};dur={:.2}, total;dur={:.2}",
        ms(stages.admitted),
        ms(stages.stored),
        ms(stages.started),
        ms(stages.admitted + stages.stored + stages.started),
    );
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("total"))
}
