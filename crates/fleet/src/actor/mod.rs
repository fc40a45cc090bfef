//! The one task that changes a session: it carries out commands, and acts on what [`crate::life`]
//! decides. Slow changes are made by a worker beside it ([`queue`]), so that an end is never waited for.

mod closing;
mod end_row;
mod idle;
mod queue;
mod save;
mod start;

use std::sync::Arc;
use std::time::Duration;

use browserd_api::browser::EndReason;
use browserd_api::{ProjectId, ProxyId, Timestamp};
use browserd_protocol::Route;
use browserd_store::{ProxyRow, Rows, SessionPatch, SessionRow, Store, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::Permit;
use crate::change::{Failure, Step};
use crate::directory::Directory;
use crate::fleet::name_taken;
use crate::life::{Action, Event, State, next};
use crate::live::{Inner, Uses};
use crate::pool::{Events, Prepared, Started, Waiting};
use crate::session::Stages;
use crate::{
    Change, ChangeServices, Ended, FleetError, Instance, LiveSession, Metrics, ProfileExporter,
    Runtime, RuntimeEvent, Standby, StartError,
};
pub(crate) use end_row::PendingEnds;
use idle::{Idle, Pings, Running, deadline};
use queue::{Changed, Heard, Job, Outcome, Queue};
use save::Save;

/// Tells the caller of `create` how the start went.
type Created = oneshot::Sender<Result<(SessionRow, Stages), FleetError>>;

/// What others tell a session's actor.
pub(crate) enum Command {
    /// End the session; answered once it is over for clients.
    End { reason: EndReason, done: oneshot::Sender<()> },
    /// Change the session; answered with the row as it is then.
    Change { change: Box<Change>, services: Arc<dyn ChangeServices>, done: Changed },
    /// A proxy was deleted; answered once nothing goes through it any more.
    CloseProxy { proxy: ProxyId, done: oneshot::Sender<()> },
}

/// What an actor is made of.
pub(crate) struct Parts {
    /// Whose it is.
    pub(crate) project: ProjectId,
    /// The row, which the actor writes.
    pub(crate) row: SessionRow,
    /// The egress route it is started with.
    pub(crate) route: Route,
    /// What saves its profile.
    pub(crate) profile_exporter: Option<Arc<dyn ProfileExporter>>,
    /// When it is suspended.
    pub(crate) standby: Standby,
    /// How often it is asked whether it still answers, while it is used.
    pub(crate) ping_every: Duration,
    /// A running session to become this one, if there was one.
    pub(crate) prepared: Option<Prepared>,
    /// How long it took to be admitted.
    pub(crate) admitted: Duration,
    /// Held until it runs: the pool starts nothing meanwhile.
    pub(crate) waiting: Option<Waiting>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) metrics: Metrics,
    pub(crate) directory: Arc<Directory>,
    pub(crate) pending_ends: Arc<PendingEnds>,
    /// The server stops.
    pub(crate) stop: CancellationToken,
    pub(crate) inbox: mpsc::Receiver<Command>,
    /// Told how the start went; its end going away means nobody waits any more.
    pub(crate) created: Created,
    /// Held until nothing of the session is left.
    pub(crate) permit: Permit,
}

/// The session's actor.
pub(crate) struct SessionActor {
    parts: Parts,
    ended: watch::Sender<Option<Ended>>,
    queue: Queue,
    /// When it was over for clients.
    closed: Option<Instant>,
    /// Its profile is being saved; answers why it was not, if that is still to be recorded.
    saving: Option<JoinHandle<Option<String>>>,
    /// Waits for the change that the session ends for; dropped once it is over for clients.
    lost: Option<Changed>,
    /// Dropped once nothing of the session is left.
    gone: Vec<oneshot::Sender<()>>,
}

impl SessionActor {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            ended: watch::Sender::new(None),
            queue: Queue::new(),
            closed: None,
            saving: None,
            lost: None,
            gone: Vec::new(),
        }
    }

    /// Runs the session from creation until nothing of it is left.
    pub(crate) async fn run(mut self) {
        let mut stages = Stages {
            from_pool: self.parts.prepared.is_some(),
            admitted: self.parts.admitted,
            ..Stages::default()
        };
        let began = Instant::now();
        if let Err(error) = self.enter().await {
            if let (Some(prepared), Some(waiting)) =
                (self.parts.prepared.take(), &self.parts.waiting)
            {
                waiting.give_back(prepared);
            }
            self.parts.directory.forget(&self.parts.row.id);
            let _ = self.parts.created.send(Err(error));
            return;
        }
        stages.stored = began.elapsed();
        let mut starting = tokio::spawn(start::start(
            Arc::clone(&self.parts.runtime),
            self.parts.row.id.clone(),
            (self.parts.row.config.clone(), self.parts.route.clone()),
            self.parts.prepared.take(),
            self.parts.standby.after.is_some(),
        ));
        let mut state = State::Creating { end: None };
        let mut running: Option<Running> = None;
        let mut events: Option<Events> = None;
        let mut created = Some(std::mem::replace(&mut self.parts.created, oneshot::channel().0));
        while !matches!(state, State::Ended(_)) {
            if let (State::Active, Some(running)) = (state, &running) {
                let Parts { row, route, .. } = &self.parts;
                self.queue.advance(|steps| queue::worker(&running.live, row, route, steps));
            }
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
                            tracing::warn!(session = %self.parts.row.id, %error, "a session did not start; its create is answered with the reason");
                            self.parts.metrics.failed();
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
                Some(command) = self.parts.inbox.recv() => match command {
                    Command::End { reason, done: sender } => {
                        done = Some(sender);
                        Event::End(reason)
                    }
                    Command::Change { change, services, done } => {
                        self.queue_change(state, Job::Change { change, services, done });
                        continue;
                    }
                    Command::CloseProxy { proxy, done } => {
                        self.queue_closing(state, running.as_ref(), proxy, done);
                        continue;
                    }
                },
                heard = self.queue.heard() => match heard {
                    Heard::Step(step) => {
                        self.record(*step, running.as_mut()).await;
                        continue;
                    }
                    Heard::Over(outcome) => match self.over(outcome) {
                        Some(why) => {
                            detail = Some(why);
                            Event::End(EndReason::Crashed)
                        }
                        None => continue,
                    },
                },
                Some(event) = happened(events.as_mut()) => match event {
                    RuntimeEvent::Ended { reason, detail: why } => {
                        detail = why;
                        Event::Gone(reason)
                    }
                    RuntimeEvent::BrowserLost(why) => {
                        tracing::warn!(session = %self.parts.row.id, why, "Chromium ended by itself and is being restarted");
                        continue;
                    }
                    RuntimeEvent::BrowserBack => {
                        tracing::info!(session = %self.parts.row.id, "Chromium runs again");
                        continue;
                    }
                    RuntimeEvent::WakeLock(held) => {
                        if let Some(running) = &mut running {
                            running.guest_wake_lock = held.then(|| running.live.wake_lock());
                        }
                        continue;
                    }
                },
                idle = idle::idle(running.as_mut(), self.parts.row.config.timeout_seconds, self.parts.standby, self.parts.ping_every),
                    if matches!(state, State::Active) => match idle {
                        Idle::TooLong => Event::End(EndReason::TimedOut),
                        Idle::Stuck => {
                            detail = Some("its guest did not answer any more".to_owned());
                            Event::End(EndReason::Crashed)
                        }
                        Idle::Suspended | Idle::Changed => continue,
                    },
            };
            let action;
            (state, action) = next(state, event);
            if let Some(Started { instance, events: from, frozen }) = instance {
                events = Some(from);
                running = Some(self.running(instance, frozen));
                self.parts.permit.running();
                self.parts.waiting = None;
            }
            let abandoned = match (action, &running) {
                (Action::Open, Some(running)) => self.open(running, created.take(), stages),
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
            self.lost = None;
        }
        if let Some(closed) = self.closed {
            self.parts.metrics.gone(closed.elapsed());
        }
        drop(running);
        self.parts.directory.forget(&self.parts.row.id);
        // Callers whose commands came just now are not to wait for a store that may never answer.
        drop(self.queue.stop());
        self.parts.inbox.close();
        while self.parts.inbox.try_recv().is_ok() {}
        drop(self.gone);
        let Parts { permit, store, project, row, pending_ends, stop, .. } = self.parts;
        drop(permit);
        let save_error = match self.saving {
            Some(saving) => saving.await.ok().flatten(),
            None => None,
        };
        let rows = store.rows(&project);
        pending_ends.record_at_last(&rows, &row.id, save_error, &stop).await;
    }

    /// Writes the row of a session that others can find already: a proxy that goes from now on finds it,
    /// so here is the last moment to look whether it is still there.
    async fn enter(&self) -> Result<(), FleetError> {
        let Parts { project, row, store, .. } = &self.parts;
        if let Some(proxy) = &row.config.proxy
            && store.rows::<ProxyRow>(project).by_id(proxy).await?.is_none()
        {
            return Err(FleetError::ProxyGone(proxy.clone()));
        }
        let inserted = self.rows().insert(row).await;
        inserted.map_err(|error| name_taken(error, row.name.as_deref()))
    }

    fn rows(&self) -> Rows<'_, SessionRow> {
        self.parts.store.rows(&self.parts.project)
    }

    fn queue_change(&mut self, state: State, job: Job) {
        if !matches!(state, State::Active) {
            // Dropped, which says that there is no such session: it has no clients yet, or no more.
            return;
        }
        if let Err(Job::Change { done, .. }) = self.queue.push(job) {
            tracing::warn!(session = %self.parts.row.id, "refused a change: too many wait for this session already");
            let _ = done.send(Err(FleetError::Busy));
        }
    }

    /// Records what a worker has made true.
    async fn record(&mut self, step: Step, running: Option<&mut Running>) {
        let Step { patch, route, recorded } = step;
        let retimed = patch.timeout_seconds.is_some();
        let outcome = self.update(patch).await;
        if outcome.is_ok() {
            self.parts.route = route.unwrap_or_else(|| self.parts.route.clone());
            if let Some(running) = running.filter(|running| retimed && running.deadline.is_some()) {
                running.deadline = Some(deadline(self.parts.row.config.timeout_seconds));
            }
        }
        let _ = recorded.send(outcome);
    }

    /// Tells the caller of a job what came of it; answers why the session has to end, if it has to.
    fn over(&mut self, outcome: Result<Outcome, tokio::task::JoinError>) -> Option<String> {
        match outcome {
            Ok(Outcome::Changed(Ok(row), done)) => _ = done.send(Ok(*row)),
            Ok(Outcome::Changed(Err(Failure::Refused(error)), done)) => _ = done.send(Err(error)),
            Ok(Outcome::Changed(Err(Failure::Lost(why)), done)) => {
                self.lost = Some(done);
                return Some(why);
            }
            // Dropping it answers too.
            Ok(Outcome::ProxyClosed(Ok(()), done)) => drop(done),
            Ok(Outcome::ProxyClosed(Err(Failure::Refused(error)), done)) => {
                // The gateway has closed it; only the actor of a session that is over does not note that.
                tracing::error!(session = %self.parts.row.id, %error, "closed the egress route of a deleted proxy, but could not note it; nothing goes through the proxy");
                drop(done);
            }
            Ok(Outcome::ProxyClosed(Err(Failure::Lost(why)), done)) => {
                self.gone.extend(done);
                return Some(why);
            }
            Err(error) => return Some(format!("a change to it broke off: {error}")),
        }
        None
    }

    /// Lets clients in and answers the caller of `create`; answers whether that caller is gone.
    fn open(&self, running: &Running, created: Option<Created>, stages: Stages) -> bool {
        let Some(created) = created else { return true };
        let row = self.parts.row.clone();
        tracing::info!(
            session = %row.id, name = row.name, from_pool = stages.from_pool,
            admitted_ms = millis(stages.admitted), stored_ms = millis(stages.stored),
            started_ms = millis(stages.started), "session created"
        );
        self.parts.directory.open(row.name.as_deref(), running.live.clone());
        self.parts.metrics.opened(&self.parts.project, &stages);
        created.send(Ok((row, stages))).is_err()
    }

    /// Changes the row and then what is in memory of it; no other command comes in between.
    async fn update(&mut self, patch: SessionPatch) -> Result<SessionRow, FleetError> {
        if patch == SessionPatch::default() {
            return Ok(self.parts.row.clone());
        }
        let id = &self.parts.row.id;
        let (renamed, wanted) = (patch.name.is_some(), patch.name.clone().flatten());
        let row = match self.rows().patch(id, &patch).await {
            Ok(row) => row,
            Err(StoreError::NotFound) => return Err(FleetError::NotFound(id.to_string())),
            Err(error) => return Err(name_taken(error, wanted.as_deref())),
        };
        if renamed {
            self.parts.directory.rename(id, row.name.as_deref());
        }
        self.parts.row.clone_from(&row);
        Ok(row)
    }

    fn running(&self, instance: Arc<dyn Instance>, frozen: bool) -> Running {
        let uses = Uses::new(self.parts.metrics.clone(), frozen);
        let (activity, wake_locks) = (uses.activity.subscribe(), uses.wake_locks.subscribe());
        let live = LiveSession {
            inner: Arc::new(Inner {
                id: self.parts.row.id.clone(),
                project: self.parts.project.clone(),
                instance,
                ended: self.ended.subscribe(),
                uses,
            }),
        };
        let deadline = Some(deadline(self.parts.row.config.timeout_seconds));
        let suspend_at = self.parts.standby.after.map(|after| Instant::now() + after);
        Running {
            live,
            activity,
            deadline,
            wake_locks,
            suspend_at,
            page_out_at: None,
            guest_wake_lock: None,
            pings: Pings::default(),
        }
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
            Action::Close(reason) => self.close(reason, detail, running, created).await,
            Action::Clear(reason) => clear(reason, running),
            Action::CloseAndClear(reason) => {
                self.close(reason, detail, running, created).await;
                match running.and_then(|running| Save::of(&self.parts, &running.live, reason)) {
                    Some(save) => self.saving = Some(tokio::spawn(save.begin())),
                    None => clear(reason, running),
                }
            }
        }
    }

    /// Ends the session for clients, and for the record.
    async fn close(
        &mut self,
        reason: EndReason,
        detail: Option<String>,
        running: Option<&Running>,
        created: &mut Option<Created>,
    ) {
        self.give_up_changes(running);
        if self.parts.directory.close(&self.parts.row.id) {
            self.parts.metrics.closed(&self.parts.project);
        }
        self.parts.metrics.ended(&self.parts.project, reason);
        self.closed = Some(Instant::now());
        let at = Timestamp::now();
        self.ended.send_replace(Some(Ended { at, reason }));
        if let Some(created) = created.take() {
            let _ = created.send(Err(match reason {
                EndReason::ServerShutdown => FleetError::ShuttingDown,
                EndReason::Deleted => FleetError::EndedMeanwhile,
                _ => FleetError::StartFailed(
                    detail.clone().unwrap_or_else(|| "it ended while it started".to_owned()),
                ),
            }));
        }
        tell_end(&self.parts.row, at, reason, detail.as_deref());
        save::tell_lost(&self.parts, reason);
        let end = (at, reason, detail);
        let rows = self.rows();
        let recorded = self.parts.pending_ends.record(&rows, &self.parts.row.id, end).await;
        if let Err(error) = recorded {
            tracing::error!(session = %self.parts.row.id, %error, "could not write the session's end into the database; it is tried again once the session is cleared away");
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Puts a session's end into the log; one that nobody wanted is a warning.
fn tell_end(row: &SessionRow, at: Timestamp, reason: EndReason, detail: Option<&str>) {
    let SessionRow { id: session, name, created_at, .. } = row;
    let seconds = (at.as_micros() - created_at.as_micros()) / 1_000_000;
    let why = reason.as_str();
    match reason {
        EndReason::Deleted | EndReason::TimedOut | EndReason::ServerShutdown => {
            tracing::info!(%session, name, reason = why, detail, seconds, "session ended");
        }
        EndReason::Crashed
        | EndReason::OutOfMemory
        | EndReason::DiskFull
        | EndReason::FailedToStart
        | EndReason::HostLost => {
            tracing::warn!(%session, name, reason = why, detail, seconds, "session ended");
        }
    }
}

fn clear(reason: EndReason, running: Option<&Running>) {
    if let Some(running) = running {
        running.live.inner.instance.end(reason);
    }
}

/// Resolves when the caller of `create` no longer waits.
async fn gone(created: Option<&mut Created>) {
    match created {
        Some(created) => created.closed().await,
        None => std::future::pending().await,
    }
}

/// The next thing that happens to a running session.
async fn happened(events: Option<&mut Events>) -> Option<RuntimeEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}
