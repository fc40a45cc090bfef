//! What the fleet needs of others to change a session: rows of proxies and profiles, and the guest.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use browserd_api::browser::{Location, LocationRequest, Viewport};
use browserd_api::profiles::ProfileInUse;
use browserd_api::{ApiError, ErrorCode, ProfileId, ProjectId, ProxyId};
use browserd_fleet::{
    ChangeServices, LiveSession, ProfileChoice, ProxyChoice, SessionView, StepError,
};
use browserd_protocol::Route;
use browserd_rest::Error;
use browserd_store::ReplayRow;
use serde_json::{Value, json};

use super::validate::NO_PROFILE;
use super::{Browsers, view};
use crate::profiles::{Profiles, kept};
use crate::proxies;
use crate::relay::Call;
use crate::resource::refusals::from_store;

/// How long the guest may take for a change: it waits up to 30 s for a Chromium that is starting again,
/// and pages take up to 20 s to see another location.
const CHANGED_WITHIN: Duration = Duration::from_secs(55);

/// The services of this server to one project.
pub(super) struct Services {
    browsers: Arc<Browsers>,
    project: ProjectId,
}

impl Services {
    pub(super) fn new(browsers: &Arc<Browsers>, project: &ProjectId) -> Arc<Self> {
        Arc::new(Self { browsers: Arc::clone(browsers), project: project.clone() })
    }

    fn profiles(&self) -> Result<&Profiles, ApiError> {
        kept(self.browsers.profiles.as_ref()).map_err(refusal)
    }

    /// Has the guest do something at one of its internal routes. It counts as use of the session.
    async fn tell(&self, session: &LiveSession, path: &str, body: &Value) -> Result<(), StepError> {
        let _activity = session.activity();
        let call = Call::post(path, CHANGED_WITHIN).json(body);
        match self.browsers.guests.call(session, call).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.step(session).await),
        }
    }
}

fn refusal(Error(refusal): Error) -> ApiError {
    refusal
}

#[async_trait]
impl ChangeServices for Services {
    async fn may_resize(&self, session: &SessionView) -> Result<(), ApiError> {
        let replays = self.browsers.store.rows::<ReplayRow>(&self.project);
        let replays = replays.of_session(&session.id).await;
        let replays = replays.map_err(from_store).map_err(refusal)?;
        match replays.iter().find(|replay| replay.end.is_none()) {
            None => Ok(()),
            Some(replay) => Err(ApiError::new(
                ErrorCode::BeingRecorded,
                "the screen is being recorded; set viewport.force to change its size all the same",
            )
            .detail("replay_id", replay.id.to_string())),
        }
    }

    async fn route(&self, choice: &ProxyChoice) -> Result<(Option<ProxyId>, Route), ApiError> {
        proxies::route(&self.browsers.store, &self.project, choice).await.map_err(refusal)
    }

    async fn profile(
        &self,
        choice: &ProfileChoice,
        session: &SessionView,
    ) -> Result<ProfileId, ApiError> {
        let why = match &session.config.profile {
            Some(_) => Some("the session has a profile already; create another session"),
            None if self.browsers.defaults.headless_shell && session.config.headless => {
                Some(NO_PROFILE)
            }
            None => None,
        };
        match why {
            Some(why) => Err(ApiError::field("profile", why)),
            None => {
                let profiles = self.profiles()?;
                profiles.take(&self.project, &choice.id_or_name).await.map_err(refusal)
            }
        }
    }

    async fn load_profile(
        &self,
        session: &LiveSession,
        profile: &ProfileId,
        save_changes: bool,
    ) -> Result<ProfileInUse, StepError> {
        let _activity = session.activity();
        let profiles = self.profiles();
        let profiles = profiles.map_err(|refusal| StepError { refusal, maybe_done: false })?;
        profiles.load(session, profile, save_changes).await
    }

    async fn resize(&self, session: &LiveSession, viewport: Viewport) -> Result<(), StepError> {
        self.tell(session, "/internal/viewport", &json!(viewport)).await
    }

    async fn relocate(
        &self,
        session: &LiveSession,
        location: LocationRequest,
    ) -> Result<(), StepError> {
        let Location { timezone, locale, .. } = view::location(&self.browsers.defaults, location);
        let body = json!({ "timezone": timezone, "locale": locale });
        self.tell(session, "/internal/location", &body).await
    }

    async fn open(&self, session: &LiveSession, url: &str) -> Result<(), StepError> {
        self.tell(session, "/internal/start_url", &json!({ "url": url })).await
    }
}
