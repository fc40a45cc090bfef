//! The one task that owns a session: it acts on what [`crate::life`] decides.

use std::sync::Arc;
use std::time::Duration;

use browserd_api::browser::{EndReason, SessionConfig};
use browserd_api::{SessionId, Timestamp};
use browserd_store::Store;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::fleet::Sessions;
use crate::life::{Action, Event, State, next};
use crate::live::{ActivityCounter, Inner};
use crate::{FleetError, LiveSession, Runtime, RuntimeEvent, StartError};

/// What others ask of an owner.
#[derive(Debug)]
pub(crate) enum Ask {
    /// End the session; answered once it is over for clients.
    End { reason: EndReason, done: oneshot::Sender<()> },
}

/// Everything an owner needs.
pub(crate) struct Owner {
    pub(crate) id: SessionId,
    pub(crate) name: Option<String>,
    pub(crate) config: SessionConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) inbox: mpsc::Receiver<Ask>,
    /// Told how the start went; its end going away means nobody waits any more.
    pub(crate) created: oneshot::Sender<Result<(), FleetError>>,
    /// The session's place on this host, held until nothing of it is left.
    pub(crate) place: OwnedSemaphorePermit,
    pub(crate) ended: watch::Sender<Option<EndReason>>,
}

/// What the owner holds of a session that runs.
struct Running {
    live: LiveSession,
    activity: watch::Receiver<usize>,
    /// When the session times out; none while someone uses it.
    deadline: Option<Instant>,
}

impl Owner {
    /// Runs the session from creation until nothing of it is left.
    pub(crate) async fn run(mut self) {
        let (events, mut happened) = mpsc::channel(16);
        let runtime = Arc::clone(&self.runtime);
        let (id, config) = (self.id.clone(), self.config.clone());
        let mut starting = tokio::spawn(async move { runtime.start(&id, &config, events).await });
        let mut state = State::Creating { end: None };
        let mut running: Option<Running> = None;
        let mut created = Some(std::mem::replace(&mut self.created, oneshot::channel().0));
        while !matches!(state, State::Ended(_)) {
            let mut detail = None;
            let mut done = None;
            let mut instance = None;
            let event = tokio::select! {
                started = &mut starting, if matches!(state, State::Creating { .. }) => {
                    let started = started.unwrap_or_else(|panic| Err(StartError {
                        reason: EndReason::FailedToStart,
                        detail: panic.to_string(),
                    }));
                    match started {
                        Ok(ready) => {
                            instance = Some(ready);
                            Event::Started
                        }
                        Err(error) => {
                            tracing::warn!(session = %self.id, %error, "the session did not start");
                            if let Some(created) = created.take() {
                                let _ = created.send(Err(FleetError::StartFailed(error.detail.clone())));
                            }
                            detail = Some(error.detail);
                            Event::Failed(error.reason)
                        }
                    }
                }
                () = gone(created.as_mut()) => {
                    created = None;
                    Event::End(EndReason::Deleted)
                }
                Some(Ask::End { reason, done: sender }) = self.inbox.recv() => {
                    done = Some(sender);
                    Event::End(reason)
                }
                Some(event) = happened.recv() => match event {
                    RuntimeEvent::Ended { reason, detail: why } => {
                        detail = why;
                        Event::Gone(reason)
                    }
                    RuntimeEvent::BrowserLost(why) => {
                        tracing::warn!(session = %self.id, why, "the browser was lost and is being restarted");
                        continue;
                    }
                    RuntimeEvent::BrowserBack => {
                        tracing::info!(session = %self.id, "the browser is back");
                        continue;
                    }
                },
                event = idle(running.as_mut(), self.config.timeout_seconds),
                    if matches!(state, State::Active) => match event {
                        Some(reason) => Event::End(reason),
                        None => continue,
                    },
            };
            let action;
            (state, action) = next(state, event);
            if let Some(instance) = instance {
                running = Some(self.hold(instance));
            }
            self.act(action, detail, running.as_ref(), &mut created).await;
            if let Some(done) = done {
                let _ = done.send(());
            }
        }
        drop(running);
        self.sessions.forget(&self.id);
        drop(self.place);
    }

    fn hold(&self, instance: Box<dyn crate::Instance>) -> Running {
        let activity = ActivityCounter::new();
        let watch = activity.0.subscribe();
        let live = LiveSession {
            inner: Arc::new(Inner {
                id: self.id.clone(),
                guest_socket: instance.guest_socket(),
                instance,
                ended: self.ended.subscribe(),
                activity,
            }),
        };
        let deadline = Some(deadline(self.config.timeout_seconds));
        Running { live, activity: watch, deadline }
    }

    async fn act(
        &self,
        action: Action,
        detail: Option<String>,
        running: Option<&Running>,
        created: &mut Option<oneshot::Sender<Result<(), FleetError>>>,
    ) {
        match action {
            Action::Nothing => {}
            Action::Open => {
                if let Some(running) = running {
                    self.sessions.open(self.name.as_deref(), running.live.clone());
                }
                if let Some(created) = created.take() {
                    let _ = created.send(Ok(()));
                }
            }
            Action::Close(reason) => self.close(reason, detail.as_deref(), created).await,
            Action::Clear(reason) => clear(reason, running).await,
            Action::CloseAndClear(reason) => {
                self.close(reason, detail.as_deref(), created).await;
                clear(reason, running).await;
            }
        }
    }

    /// Ends the session for clients, and for the record.
    async fn close(
        &self,
        reason: EndReason,
        detail: Option<&str>,
        created: &mut Option<oneshot::Sender<Result<(), FleetError>>>,
    ) {
        self.sessions.close(&self.id);
        self.ended.send_replace(Some(reason));
        if let Some(created) = created.take() {
            let _ = created.send(Err(FleetError::StartFailed(format!("it was ended: {reason:?}"))));
        }
        tracing::info!(session = %self.id, ?reason, detail, "session ended");
        let ended = self.store.end_session(&self.id, Timestamp::now(), reason, detail).await;
        if let Err(error) = ended {
            tracing::error!(session = %self.id, %error, "the end could not be recorded");
        }
    }
}

async fn clear(reason: EndReason, running: Option<&Running>) {
    if let Some(running) = running {
        running.live.inner.instance.end(reason).await;
    }
}

/// Resolves when the caller of `create` no longer waits.
async fn gone(created: Option<&mut oneshot::Sender<Result<(), FleetError>>>) {
    match created {
        Some(created) => created.closed().await,
        None => std::future::pending().await,
    }
}

fn deadline(timeout_seconds: u32) -> Instant {
    Instant::now() + Duration::from_secs(u64::from(timeout_seconds))
}

/// Follows a session's use: `Some` when it has been idle for its timeout, `None` when its use
/// changed and the deadline with it.
async fn idle(running: Option<&mut Running>, timeout_seconds: u32) -> Option<EndReason> {
    let Some(running) = running else { return std::future::pending().await };
    let passed = async {
        match running.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = passed => Some(EndReason::TimedOut),
        changed = running.activity.changed() => {
            if changed.is_err() {
                return std::future::pending().await;
            }
            let used = *running.activity.borrow_and_update() > 0;
            running.deadline = (!used).then(|| deadline(timeout_seconds));
            None
        }
    }
}
