//! A session that was started ahead of its client.

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

/// It has an identity already, and becomes its client's by being taken out of the pool.
pub(crate) struct Prepared {
    pub(crate) id: SessionId,
    pub(super) class: Class,
    /// [`crate::Runtime::programs_stamp`] before it was started.
    pub(super) stamp: u64,
    /// When its browser has done what it puts off at its start, in the pool's time; none once that has
    /// been seen to.
    pub(super) settles_at: Option<Duration>,
    pub(super) started: Started,
}

/// A session that runs, or will with its first use.
pub(crate) struct Started {
    pub(crate) instance: Box<dyn Instance>,
    pub(crate) events: Events,
    /// Whether it is frozen until then.
    pub(crate) frozen: bool,
}

impl Prepared {
    /// Whether something happened to it; whatever it is, nobody should get it then.
    pub(super) fn poll_spoilt(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.started.events.poll_recv(cx).map(|_| ())
    }

    /// Makes it what a client asked for. One that has to change nothing for that goes on sleeping when
    /// it `may_sleep`, and wakes with its first use. When it fails it is gone once this answers.
    pub(crate) async fn assign(
        mut self,
        config: &SessionConfig,
        route: &Route,
        may_sleep: bool,
    ) -> Result<Started, CommandError> {
        let template = self.class.template();
        let changes = config.viewport != template.viewport
            || config.kiosk_mode != template.kiosk_mode
            || config.start_url != template.start_url;
        if self.started.frozen && (changes || !may_sleep) {
            self.started.instance.freeze(false);
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
        self.started.instance.end(EndReason::Deleted).await;
        while let Some(event) = self.started.events.recv().await {
            if matches!(event, RuntimeEvent::Ended { .. }) {
                return;
            }
        }
    }
}
