//! Closing the egress route of a session whose proxy was deleted: in its turn while the session runs, at
//! once when that is over.

use browserd_api::ProxyId;
use browserd_protocol::Route;
use tokio::sync::oneshot;

use super::SessionActor;
use super::idle::Running;
use super::queue::Job;
use crate::LiveSession;
use crate::life::State;

impl SessionActor {
    /// The deletion of a proxy waits for sessions that have it, or may be getting it just now.
    pub(super) fn queue_closing(
        &mut self,
        state: State,
        running: Option<&Running>,
        proxy: ProxyId,
        done: oneshot::Sender<()>,
    ) {
        let has_it = self.parts.row.config.proxy.as_ref() == Some(&proxy);
        if !has_it && !self.queue.routes() {
            return;
        }
        match (state, running) {
            (State::Ended(_), _) => {}
            // No change is made any more, but its pages may go on while its profile is saved.
            (State::Ending(_), Some(running)) => {
                tokio::spawn(close_for_good(running.live.clone(), done));
            }
            // Never refused: the queue's limit is for clients.
            _ => _ = self.queue.push(Job::CloseProxy { proxy, done }),
        }
    }

    /// Drops the changes under way and waiting: the session is over for clients. A deleted proxy that it
    /// was to leave is not forgotten with them.
    pub(super) fn give_up_changes(&mut self, running: Option<&Running>) {
        for done in self.queue.stop() {
            match running {
                Some(running) => _ = tokio::spawn(close_for_good(running.live.clone(), done)),
                // It still starts, and is cleared away then.
                None => self.gone.push(done),
            }
        }
    }
}

/// Closes the egress route of a session that is being cleared away; answered once nothing uses it.
async fn close_for_good(session: LiveSession, done: oneshot::Sender<()>) {
    if session.route(Route::Closed).await.is_err() {
        session.wait_gone().await;
    }
    let _ = done.send(());
}
