//! Making one change, step by step. The session actor runs one worker at a time and records what it
//! reports; the worker itself changes no row and nothing in memory.

use std::sync::Arc;

use browserd_api::ProxyId;
use browserd_api::browser::{LocationRequest, Viewport};
use browserd_protocol::Route;
use browserd_store::{SessionPatch, SessionRow};
use tokio::sync::{mpsc, oneshot};

use super::{Change, ChangeServices, Resize, StepError};
use crate::{CommandError, FleetError, LiveSession};

/// What has become true of a session, for its actor to record.
pub(crate) struct Step {
    pub(crate) patch: SessionPatch,
    /// The egress route in force, when that is new.
    pub(crate) route: Option<Route>,
    /// Told the row with it.
    pub(crate) recorded: oneshot::Sender<Result<SessionRow, FleetError>>,
}

/// Why a change was not made to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was recorded is true.
    Refused(FleetError),
    /// What the session does is not known any more: it has to end.
    Lost(String),
}

impl From<FleetError> for Failure {
    fn from(error: FleetError) -> Self {
        Self::Refused(error)
    }
}

/// Makes one change.
pub(crate) struct Worker {
    pub(crate) session: LiveSession,
    /// The row as it is now.
    pub(crate) row: SessionRow,
    /// The egress route in force.
    pub(crate) route: Route,
    pub(crate) steps: mpsc::Sender<Step>,
}

impl Worker {
    /// First what may be refused and costs nothing, then one step after the other, each recorded as it
    /// becomes true. Where one fails the earlier ones stay.
    pub(crate) async fn change(
        mut self,
        change: Change,
        services: Arc<dyn ChangeServices>,
    ) -> Result<SessionRow, Failure> {
        let Change { name, tags, timeout_seconds, proxy, profile, viewport, .. } = change;
        let (timezone, locale, start_url) = (change.timezone, change.locale, change.start_url);
        if viewport.is_some_and(|resize| !resize.force) {
            services.may_resize(&self.row).await.map_err(refused)?;
        }
        let profile = match profile {
            Some(choice) => {
                let id = services.profile(&choice, &self.row).await.map_err(refused)?;
                Some((id, choice.save_changes))
            }
            None => None,
        };
        let proxy = match proxy {
            Some(choice) => Some(services.route(&choice).await.map_err(refused)?),
            None => None,
        };
        let labels = SessionPatch { name, tags, timeout_seconds, ..SessionPatch::default() };
        if labels != SessionPatch::default() {
            self.record(labels).await?;
        }
        if let Some((proxy, route)) = proxy {
            self.route(proxy, route).await?;
        }
        if let Some((id, save_changes)) = profile {
            let loaded = services.load_profile(&self.session, &id, save_changes).await;
            let profile = Some(loaded.map_err(failed)?);
            self.record(SessionPatch { profile, ..SessionPatch::default() }).await?;
        }
        if let Some(Resize { viewport, .. }) = viewport {
            self.resize(&*services, viewport).await?;
        }
        if timezone.is_some() || locale.is_some() {
            // First, so that a browser that restarts meanwhile comes back with it.
            self.record(SessionPatch { timezone, locale, ..SessionPatch::default() }).await?;
            let LocationRequest { timezone, locale } = self.row.config.location.clone();
            let location = LocationRequest { timezone, locale };
            services.relocate(&self.session, location).await.map_err(failed)?;
        }
        if let Some(url) = start_url {
            services.open(&self.session, &url).await.map_err(failed)?;
            let start_url = Some(url);
            self.record(SessionPatch { start_url, ..SessionPatch::default() }).await?;
        }
        Ok(self.row)
    }

    /// Closes the egress route of a session whose proxy was deleted.
    pub(crate) async fn close_proxy(mut self, proxy: &ProxyId) -> Result<(), Failure> {
        if self.row.config.proxy.as_ref() != Some(proxy) {
            return Ok(());
        }
        let mut closed = self.session.route(Route::Closed).await;
        if matches!(closed, Err(CommandError::Unanswered(_))) {
            closed = self.session.route(Route::Closed).await;
        }
        match closed {
            Ok(()) => {
                self.report(SessionPatch::default(), Some(Route::Closed)).await?;
                Ok(())
            }
            Err(CommandError::Gone) => Ok(()),
            Err(error) => Err(Failure::Lost(format!(
                "its proxy was deleted, and its egress gateway could not be closed: {error}"
            ))),
        }
    }

    /// Takes another egress route. The row always names the one in force: when the gateway does not
    /// answer, or the store does not record it, the gateway is put back on the route it had.
    async fn route(&mut self, proxy: Option<ProxyId>, route: Route) -> Result<(), Failure> {
        let patch = SessionPatch { proxy: Some(proxy), ..SessionPatch::default() };
        let why = match self.session.route(route.clone()).await {
            Ok(()) => match self.report(patch, Some(route)).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
            Err(CommandError::Gone) => return Err(self.gone().into()),
            // The gateway kept the route it had.
            Err(error @ CommandError::Refused(_)) => {
                return Err(FleetError::NotRouted(error).into());
            }
            Err(error @ CommandError::Unanswered(_)) => FleetError::NotRouted(error),
        };
        match self.session.route(self.route.clone()).await {
            Ok(()) => Err(why.into()),
            Err(CommandError::Gone) => Err(self.gone().into()),
            Err(error) => Err(Failure::Lost(format!(
                "it is not known which egress route its gateway takes: {why}; and back: {error}"
            ))),
        }
    }

    /// Gives the windows another size. Where it is not known what came of it they get the size they had,
    /// which is the one on record.
    async fn resize(
        &mut self,
        services: &dyn ChangeServices,
        viewport: Viewport,
    ) -> Result<(), Failure> {
        let before = self.row.config.viewport;
        let why = match services.resize(&self.session, viewport).await {
            Ok(()) => {
                let patch = SessionPatch { viewport: Some(viewport), ..SessionPatch::default() };
                match self.report(patch, None).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                }
            }
            Err(error) if !error.maybe_done => return Err(failed(error)),
            Err(error) => FleetError::Refused(Box::new(error.refusal)),
        };
        if let Err(error) = services.resize(&self.session, before).await {
            // Unlike an egress route this is no reason to end what a client works in.
            tracing::error!(
                session = %self.session.id(), error = %error.refusal.body().message,
                "a change of the window's size failed and could not be undone; the window may have another size than the API says until the next change of it"
            );
        }
        Err(why.into())
    }

    async fn record(&mut self, patch: SessionPatch) -> Result<(), Failure> {
        self.report(patch, None).await.map_err(Failure::Refused)
    }

    async fn report(
        &mut self,
        patch: SessionPatch,
        route: Option<Route>,
    ) -> Result<(), FleetError> {
        let (recorded, answer) = oneshot::channel();
        let step = Step { patch, route: route.clone(), recorded };
        self.steps.send(step).await.map_err(|_| self.gone())?;
        self.row = answer.await.map_err(|_| self.gone())??;
        self.route = route.unwrap_or_else(|| self.route.clone());
        Ok(())
    }

    fn gone(&self) -> FleetError {
        FleetError::NotFound(self.row.id.to_string())
    }
}

fn refused(refusal: browserd_api::ApiError) -> Failure {
    Failure::Refused(FleetError::Refused(Box::new(refusal)))
}

fn failed(error: StepError) -> Failure {
    refused(error.refusal)
}
