//! A session that was started ahead of its client.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use browserd_api::SessionId;
use browserd_api::browser::{EndReason, SessionConfig};
use browserd_protocol::Route;
use tokio::sync::mpsc;

use super::Class;
use crate::{CommandError, Instance, RuntimeEvent};

/// Where a started session's events come from.
pub(crate) type Events = mpsc::Receiver<RuntimeEvent>;

/// One of the pool. It has its id already, and becomes its client's by being taken out.
pub(crate) struct Prepared {
    pub(crate) id: SessionId,
    pub(super) class: Class,
    /// [`crate::Runtime::programs_stamp`] before it was started.
    pub(super) stamp: u64,
    /// When its browser will have done what it puts off at its start, counted from the pool's beginning;
    /// none once it was to be frozen for that.
    pub(super) settles_at: Option<Duration>,
    pub(super) started: Started,
    /// How often it was to be frozen or thawed while in the pool.
    pub(super) moves: u64,
    /// What it is to be by now, if that is not done yet: `started.frozen` says how it was before.
    pub(super) moving: Option<bool>,
}

/// A started session, running or frozen.
pub(crate) struct Started {
    pub(crate) instance: Arc<dyn Instance>,
    pub(crate) events: Events,
    /// Whether it is frozen until its first use.
    pub(crate) frozen: bool,
}

impl Prepared {
    /// Ready once anything has happened to it: then no client should get it.
    pub(super) fn poll_spoilt(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.started.events.poll_recv(cx).map(|_| ())
    }

    /// Makes it what a client asked for. A frozen one that has to change nothing for that stays so if it
    /// `may_stay_frozen`, until its first use. When it fails it is gone once this answers.
    pub(crate) async fn assign(
        mut self,
        config: &SessionConfig,
        route: &Route,
        may_stay_frozen: bool,
    ) -> Result<Started, CommandError> {
        let template = self.class.template();
        let changes = config.viewport != template.viewport
            || config.kiosk_mode != template.kiosk_mode
            || config.start_url != template.start_url;
        // It goes on when that is done; what it is sent until then waits for it.
        if self.started.frozen && (changes || !may_stay_frozen) {
            drop(self.started.instance.freeze(false));
            self.started.frozen = false;
        }
        match self.started.instance.assign(config, route, changes).await {
            Ok(()) => Ok(self.started),
            Err(error) => {
                self.discard().await;
                Err(error)
            }
        }
    }

    /// Ends it and waits until nothing of it is left.
    pub(super) async fn discard(&mut self) {
        self.started.instance.end(EndReason::Deleted);
        while let Some(event) = self.started.events.recv().await {
            if matches!(event, RuntimeEvent::Ended { .. }) {
                return;
            }
        }
    }
}
