//! The one task that owns a session: it acts on what [`crate::life`] decides.

use std::sync::Arc;
use std::time::Duration;

use browserd_api::browser::{EndReason, SessionConfig};
use browserd_api::profiles::ProfileInUse;
use browserd_api::{ProjectId, SessionId, Timestamp};
use browserd_protocol::Route;
use browserd_store::{Rows, SessionRow, Store, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::admission::Place;
use crate::fleet::{Sessions, name_taken};
use crate::life::{Action, Event, State, next};
use crate::live::{Inner, Uses};
use crate::pool::{Events, Prepared, Started, Waiting};
use crate::session::Stages;
use crate::{
    FleetError, Instance, LiveSession, Metrics, ProfileSaver, Runtime, RuntimeEvent, SessionPatch,
    Standby, StartError, StayAwake, Urgency, saver,
};

/// How often the end of a session is tried to be recorded once it has been cleared away, and the
/// wait before the second time; it doubles. A full disk is the likely cause, and clearing the
/// session away the likely cure.
const RECORD_TRIES: u32 = 6;
const RECORD_PAUSE: Duration = Duration::from_millis(500);

/// Tells the caller of `create` how the start went.
type Created = oneshot::Sender<Result<(SessionRow, Stages), FleetError>>;

/// What others ask of an owner.
#[derive(Debug)]
pub(crate) enum Ask {
    /// End the session; answered once it is over for clients.
    End { reason: EndReason, done: oneshot::Sender<()> },
    /// Change name or labels; answered with the row as it is then.
    Update { patch: Box<SessionPatch>, done: oneshot::Sender<Result<SessionRow, FleetError>> },
}

/// Everything an owner needs.
pub(crate) struct Owner {
    pub(crate) id: SessionId,
    /// Whose it is.
    pub(crate) project: ProjectId,
    pub(crate) timeout_seconds: u32,
    /// The way out it is started with.
    pub(crate) route: Route,
    /// The profile it has.
    pub(crate) profile: Option<ProfileInUse>,
    /// What saves it.
    pub(crate) saver: Option<Arc<dyn ProfileSaver>>,
    /// When it stands by.
    pub(crate) standby: Standby,
    /// A running session to become this one, if there was one.
    pub(crate) prepared: Option<Prepared>,
    /// How long it took to get a place.
    pub(crate) admitted: Duration,
    /// Until it runs, nothing is started for nobody.
    pub(crate) waiting: Option<Waiting>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) metrics: Metrics,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) inbox: mpsc::Receiver<Ask>,
    /// Told how the start went; its end going away means nobody waits any more.
    pub(crate) created: Created,
    /// Held until nothing of the session is left.
    pub(crate) place: Place,
    pub(crate) ended: watch::Sender<Option<EndReason>>,
    /// When it was over for clients.
    pub(crate) closed: Option<Instant>,
    /// An end that the store did not take yet.
    pub(crate) unrecorded: Option<Unrecorded>,
}

/// An end that is still to be recorded.
pub(crate) struct Unrecorded {
    at: Timestamp,
    reason: EndReason,
    detail: Option<String>,
}

/// What the owner holds of a session that runs.
struct Running {
    live: LiveSession,
    activity: watch::Receiver<usize>,
    /// When the session times out; none while someone uses it.
    deadline: Option<Instant>,
    holds: watch::Receiver<usize>,
    /// When the session stands by; none while someone wants it awake, or it does already.
    standby: Option<Instant>,
    /// When the memory of one that stands by is pushed out; none while it does not, or has been.
    page_out: Option<Instant>,
    /// Processes inside want it awake.
    asked_awake: Option<StayAwake>,
}

impl Owner {
    /// Runs the session from creation until nothing of it is left.
    pub(crate) async fn run(mut self, row: SessionRow) {
        let mut stages = Stages {
            from_pool: self.prepared.is_some(),
            admitted: self.admitted,
            ..Stages::default()
        };
        let began = Instant::now();
        if let Err(error) = self.rows().insert(&row).await {
            if let (Some(prepared), Some(waiting)) = (self.prepared.take(), &self.waiting) {
                waiting.give_back(prepared);
            }
            self.sessions.forget(&self.id);
            let _ = self.created.send(Err(name_taken(error, row.name.as_deref())));
            return;
        }
        stages.stored = began.elapsed();
        let mut starting = tokio::spawn(start(
            Arc::clone(&self.runtime),
            self.id.clone(),
            (row.config.clone(), std::mem::take(&mut self.route)),
            self.prepared.take(),
            self.standby.after.is_some(),
        ));
        let mut state = State::Creating { end: None };
        let mut running: Option<Running> = None;
        let mut events: Option<Events> = None;
        let mut created = Some(std::mem::replace(&mut self.created, oneshot::channel().0));
        let mut row = Some(row);
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
                            stages.started = began.elapsed().saturating_sub(stages.stored);
                            Event::Started
                        }
                        Err(error) => {
                            tracing::warn!(session = %self.id, %error, "the session did not start");
                            self.metrics.failed();
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
                Some(ask) = self.inbox.recv() => match ask {
                    Ask::End { reason, done: sender } => {
                        done = Some(sender);
                        Event::End(reason)
                    }
                    Ask::Update { patch, done } => {
                        let retimed = patch.timeout_seconds.is_some();
                        let _ = done.send(self.update(state, *patch).await);
                        if let (true, Some(running)) = (retimed, &mut running)
                            && running.deadline.is_some()
                        {
                            running.deadline = Some(deadline(self.timeout_seconds));
                        }
                        continue;
                    }
                },
                Some(event) = happened(events.as_mut()) => match event {
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
                    RuntimeEvent::StayAwake(wanted) => {
                        if let Some(running) = &mut running {
                            running.asked_awake = wanted.then(|| running.live.stay_awake());
                        }
                        continue;
                    }
                },
                idle = idle(running.as_mut(), self.timeout_seconds, self.standby),
                    if matches!(state, State::Active) => match idle {
                        Idle::TooLong => Event::End(EndReason::TimedOut),
                        Idle::Standby | Idle::Changed => continue,
                    },
            };
            let action;
            (state, action) = next(state, event);
            if let Some(Started { instance, events: from, frozen }) = instance {
                events = Some(from);
                running = Some(self.hold(instance, frozen));
                self.place.running();
                self.waiting = None;
            }
            let abandoned = match (action, &running) {
                (Action::Open, Some(running)) => {
                    self.open(running, created.take(), row.take(), stages)
                }
                _ => false,
            };
            self.act(action, detail, running.as_ref(), &mut created).await;
            if abandoned {
                let clear;
                (state, clear) = next(state, Event::End(EndReason::Deleted));
                self.act(clear, None, running.as_ref(), &mut created).await;
            }
            if let Some(done) = done {
                let _ = done.send(());
            }
        }
        if let Some(closed) = self.closed {
            self.metrics.gone(closed.elapsed());
        }
        drop(running);
        self.sessions.forget(&self.id);
        // Whoever asked something just now is not to wait for a store that may never answer.
        self.inbox.close();
        while self.inbox.try_recv().is_ok() {}
        drop(self.place);
        record_at_last(self.store.rows(&self.project), &self.id, self.unrecorded).await;
    }

    /// Lets clients in and answers the caller of `create`; answers whether that caller is gone.
    fn open(
        &self,
        running: &Running,
        created: Option<Created>,
        row: Option<SessionRow>,
        stages: Stages,
    ) -> bool {
        let (Some(created), Some(row)) = (created, row) else { return true };
        self.sessions.open(row.name.as_deref(), running.live.clone());
        self.metrics.opened(&self.project, &stages);
        created.send(Ok((row, stages))).is_err()
    }

    /// Changes the row and what is in memory of it, one after the other and nobody in between.
    async fn update(
        &mut self,
        state: State,
        patch: SessionPatch,
    ) -> Result<SessionRow, FleetError> {
        let gone = || FleetError::NotFound(self.id.to_string());
        if !matches!(state, State::Active) {
            return Err(gone());
        }
        let (renamed, wanted) = (patch.name.is_some(), patch.name.clone().flatten());
        let row = match self.rows().patch(&self.id, &patch).await {
            Ok(row) => row,
            Err(StoreError::NotFound) => return Err(gone()),
            Err(error) => return Err(name_taken(error, wanted.as_deref())),
        };
        self.timeout_seconds = row.config.timeout_seconds;
        self.profile.clone_from(&row.config.profile);
        if renamed {
            self.sessions.rename(&self.id, row.name.as_deref());
        }
        Ok(row)
    }

    fn rows(&self) -> Rows<'_, SessionRow> {
        self.store.rows(&self.project)
    }

    fn hold(&self, instance: Box<dyn Instance>, frozen: bool) -> Running {
        let uses = Uses::new(self.metrics.clone(), frozen);
        let (activity, holds) = (uses.activity.subscribe(), uses.holds.subscribe());
        let live = LiveSession {
            inner: Arc::new(Inner {
                id: self.id.clone(),
                project: self.project.clone(),
                guest_socket: instance.guest_socket(),
                instance,
                ended: self.ended.subscribe(),
                uses,
            }),
        };
        let deadline = Some(deadline(self.timeout_seconds));
        let standby = self.standby.after.map(|after| Instant::now() + after);
        Running { live, activity, deadline, holds, standby, page_out: None, asked_awake: None }
    }

    async fn act(
        &mut self,
        action: Action,
        detail: Option<String>,
        running: Option<&Running>,
        created: &mut Option<Created>,
    ) {
        match action {
            Action::Nothing | Action::Open => {}
            Action::Close(reason) => self.close(reason, detail, created).await,
            Action::Clear(reason) => clear(reason, running).await,
            Action::CloseAndClear(reason) => {
                self.close(reason, detail, created).await;
                match self.saving(reason, running) {
                    Some(saving) => _ = tokio::spawn(saving),
                    None => clear(reason, running).await,
                }
            }
        }
    }

    /// Saves the session's profile and then has the session cleared away, where there is one to save.
    /// Nobody waits for that: the place is taken until the session is gone.
    fn saving(
        &self,
        reason: EndReason,
        running: Option<&Running>,
    ) -> Option<impl Future<Output = ()> + Send + use<>> {
        let profile = self.profile.as_ref().filter(|profile| profile.save_changes)?;
        let (saver, running) = (self.saver.as_ref()?, running?);
        if !saver::may_save(reason) {
            return None;
        }
        let live = running.live.clone();
        let saved = saver.save(live.clone(), profile);
        Some(async move {
            let awake = live.stay_awake();
            if tokio::time::timeout(saver::SAVED_WITHIN, saved).await.is_err() {
                tracing::error!(session = %live.id(), "a profile was not saved in time");
            }
            live.inner.instance.end(reason).await;
            drop(awake);
        })
    }

    /// Ends the session for clients, and for the record.
    async fn close(
        &mut self,
        reason: EndReason,
        detail: Option<String>,
        created: &mut Option<Created>,
    ) {
        if self.sessions.close(&self.id) {
            self.metrics.closed(&self.project);
        }
        self.metrics.ended(&self.project, reason);
        self.closed = Some(Instant::now());
        self.ended.send_replace(Some(reason));
        if let Some(created) = created.take() {
            let _ = created.send(Err(match reason {
                EndReason::ServerShutdown => FleetError::ShuttingDown,
                EndReason::Deleted => FleetError::EndedMeanwhile,
                _ => FleetError::StartFailed(
                    detail.clone().unwrap_or_else(|| "it ended while it started".to_owned()),
                ),
            }));
        }
        tracing::info!(session = %self.id, ?reason, detail, "session ended");
        let end = Unrecorded { at: Timestamp::now(), reason, detail };
        if let Err(error) = record(self.rows(), &self.id, &end).await {
            tracing::error!(session = %self.id, %error, "the end is not recorded yet");
            self.unrecorded = Some(end);
        }
    }
}

async fn record(
    rows: Rows<'_, SessionRow>,
    id: &SessionId,
    end: &Unrecorded,
) -> Result<(), StoreError> {
    rows.end(id, end.at, end.reason, end.detail.as_deref()).await
}

/// Records an end that the store refused before. Should it go on refusing, `DELETE` or the next
/// server's start will do it.
async fn record_at_last(rows: Rows<'_, SessionRow>, id: &SessionId, end: Option<Unrecorded>) {
    let Some(end) = end else { return };
    let mut pause = RECORD_PAUSE;
    for _ in 0..RECORD_TRIES {
        match record(rows, id, &end).await {
            Ok(()) => return,
            Err(error) => tracing::error!(session = %id, %error, "an end is not recorded"),
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

async fn clear(reason: EndReason, running: Option<&Running>) {
    if let Some(running) = running {
        running.live.inner.instance.end(reason).await;
    }
}

/// Resolves when the caller of `create` no longer waits.
async fn gone(created: Option<&mut Created>) {
    match created {
        Some(created) => created.closed().await,
        None => std::future::pending().await,
    }
}

fn deadline(timeout_seconds: u32) -> Instant {
    Instant::now() + Duration::from_secs(u64::from(timeout_seconds))
}

/// The next thing that happens to a running session.
async fn happened(events: Option<&mut Events>) -> Option<RuntimeEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

/// Makes a session run: one from the pool, or a new one when there is none or it fails.
async fn start(
    runtime: Arc<dyn Runtime>,
    id: SessionId,
    (config, route): (SessionConfig, Route),
    prepared: Option<Prepared>,
    may_sleep: bool,
) -> Result<Started, StartError> {
    if let Some(prepared) = prepared {
        match prepared.assign(&config, &route, may_sleep).await {
            Ok(assigned) => return Ok(assigned),
            Err(error) => {
                tracing::warn!(session = %id, %error, "a prepared session is of no use; starting one");
            }
        }
    }
    let (sender, events) = mpsc::channel(16);
    let instance = runtime.start(&id, &config, &route, Urgency::Now, sender).await?;
    Ok(Started { instance, events, frozen: false })
}

/// What came of nobody using a session, or somebody.
enum Idle {
    /// It has been idle for its timeout.
    TooLong,
    /// It stands by now, if it can.
    Standby,
    /// Its use changed, and the deadlines with it.
    Changed,
}

/// Follows a session's use.
async fn idle(running: Option<&mut Running>, timeout_seconds: u32, standby: Standby) -> Idle {
    let Some(running) = running else { return std::future::pending().await };
    tokio::select! {
        () = at(running.deadline) => Idle::TooLong,
        () = at(running.standby) => {
            running.standby = None;
            let stands_by = running.live.inner.stand_by();
            let page_out = standby.page_out_after.filter(|_| stands_by);
            running.page_out = page_out.map(|after| Instant::now() + after);
            Idle::Standby
        }
        () = at(running.page_out) => {
            running.page_out = None;
            let inner = Arc::clone(&running.live.inner);
            tokio::spawn(async move { inner.page_out().await });
            Idle::Changed
        }
        Ok(()) = running.activity.changed() => {
            let used = *running.activity.borrow_and_update() > 0;
            running.deadline = (!used).then(|| deadline(timeout_seconds));
            Idle::Changed
        }
        Ok(()) = running.holds.changed() => {
            let held = *running.holds.borrow_and_update() > 0;
            running.page_out = running.page_out.filter(|_| !held);
            let after = standby.after.filter(|_| !held);
            running.standby = after.map(|after| Instant::now() + after);
            Idle::Changed
        }
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
