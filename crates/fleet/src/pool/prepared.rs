//! A session that was started ahead of its client.

use std::task::{Context, Poll};

use browserd_api::SessionId;
use browserd_api::browser::{EndReason, SessionConfig};
use tokio::sync::mpsc;

use super::Class;
use crate::{Instance, RuntimeEvent};

/// Where a started session's events come from.
pub(crate) type Events = mpsc::Receiver<RuntimeEvent>;

/// It has an identity already, and becomes its client's by being taken out of the pool.
pub(crate) struct Prepared {
    pub(crate) id: SessionId,
    pub(super) class: Class,
    /// [`crate::Runtime::programs_stamp`] before it was started.
    pub(super) stamp: u64,
    pub(super) instance: Box<dyn Instance>,
    pub(super) events: Events,
}

impl Prepared {
    /// Whether something happened to it; whatever it is, nobody should get it then.
    pub(super) fn poll_spoilt(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.events.poll_recv(cx).map(|_| ())
    }

    /// Wakes it and makes it what a client asked for. When that fails it is gone once this answers.
    pub(crate) async fn assign(
        mut self,
        config: &SessionConfig,
    ) -> Result<(Box<dyn Instance>, Events), std::io::Error> {
        self.instance.freeze(false);
        match self.instance.assign(config).await {
            Ok(()) => Ok((self.instance, self.events)),
            Err(error) => {
                self.discard().await;
                Err(error)
            }
        }
    }

    /// Ends it and waits until nothing of it is left.
    pub(super) async fn discard(&mut self) {
        self.instance.end(EndReason::Deleted).await;
        while let Some(event) = self.events.recv().await {
            if matches!(event, RuntimeEvent::Ended { .. }) {
                return;
            }
        }
    }
}
