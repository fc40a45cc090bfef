//! `POST /browsers`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use browserd_api::SessionId;
use browserd_api::browser::Browser;
use browserd_fleet::{Change, ProjectFleet, Stages};
use browserd_rest::{Optional, ReadBody, Refused, Result, refusals};
use http::{HeaderName, HeaderValue};

use super::services::Services;
use super::validate::{CreateBrowser, Creation, Defaults};
use super::{BrowserDefaults, Browsers, TakeProfile, ignored, validate, view};
use crate::caller::Sessions;
use crate::fields::Checked;
use crate::profiles::kept;
use crate::proxies::Proxies;
use crate::resource::refusals::Find;
use crate::wire::log::AboutSession;
use crate::{proxies, refusal};

refusals! {
    /// Starting a session.
    pub(crate) StartSession:
        AlreadyExists, Ended, CapacityExhausted, UpstreamUnavailable, ShuttingDown,
        DatabaseUnavailable, Internal;
}

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
            ("server-timing" = String, description = "Milliseconds of each stage: `admit` (waiting for a permit), `store`, and `claim` of a session that was ready or `start` of a new one."))),
        Refused<(ReadBody, Find<Proxies>, TakeProfile, StartSession)>))]
pub(crate) async fn create(
    State(browsers): State<Arc<Browsers>>,
    sessions: Sessions,
    Optional(body): Optional<Checked<CreateBrowser>>,
) -> Result<Response> {
    let BrowserDefaults { region, headless_shell, .. } = browsers.defaults;
    let defaults = Defaults { region, headless_shell };
    let (Creation { mut new, proxy, mut profile }, unknown) = validate::create(body, &defaults)?;
    if let Some(choice) = &mut profile {
        let profiles = kept(browsers.profiles.as_ref())?;
        // By its id from now on: it may get another name while the session starts.
        choice.id_or_name =
            profiles.take(sessions.project(), &choice.id_or_name).await?.to_string();
    }
    // What it opens is to see the profile.
    let start_url = profile.as_ref().and_then(|_| new.config.start_url.take());
    if let Some(choice) = proxy {
        (new.config.proxy, new.route) =
            proxies::route(&browsers.store, sessions.project(), &choice).await?;
    }
    let (mut session, stages) = sessions.create(new).await.map_err(refusal::from_fleet)?;
    if profile.is_some() {
        let mut unfinished = Unfinished(Some((ProjectFleet::clone(&sessions), session.id.clone())));
        let change = Change { profile, start_url, ..Change::default() };
        let services = Services::new(&browsers, sessions.project());
        let changed = sessions.change(session.id.as_str(), change, services).await;
        session = changed.map_err(refusal::from_fleet)?;
        unfinished.0 = None;
    }
    let browser: Browser = view::show(&browsers, &sessions, &session)?;
    let mut response = Json(browser).into_response();
    ignored::name_in_header(response.headers_mut(), &unknown);
    response.headers_mut().insert(SERVER_TIMING, server_timing(&stages));
    response.extensions_mut().insert(AboutSession(session.id));
    Ok(response)
}

/// A session whose client has not been told of it yet: it ends with this value.
struct Unfinished(Option<(ProjectFleet, SessionId)>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some((sessions, id)) = self.0.take() else { return };
        tokio::spawn(async move {
            if let Err(error) = sessions.delete(id.as_str()).await {
                tracing::error!(session = %id, %error, "a session nobody knows of goes on");
            }
        });
    }
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
