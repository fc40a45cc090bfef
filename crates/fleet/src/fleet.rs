//! The fleet: all sessions of this server.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use browserd_api::browser::{EndReason, StatusFilter};
use browserd_api::{ProjectId, ProxyId, ReplayId, SessionId, Timestamp};
use browserd_store::{Rows, SessionRow, Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::actor::{Command, Parts, PendingEnds, SessionActor};
use crate::admission::{Admission, Need, Permit};
use crate::directory::Directory;
use crate::forget::forget;
use crate::pool::{Keeper, Pool, Prepared};
use crate::session::Stages;
use crate::{
    Budgets, Change, ChangeServices, Class, Ended, FleetError, ListSessions, LiveSession, Metrics,
    NewSession, Page, PoolSize, ProfileExporter, Runtime, SessionView,
};

/// All sessions of this server. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    store: Arc<dyn Store>,
    runtime: Arc<dyn Runtime>,
    directory: Arc<Directory>,
    pending_ends: Arc<PendingEnds>,
    admission: Admission,
    standby: Standby,
    ping_every: Duration,
    profile_exporter: Option<Arc<dyn ProfileExporter>>,
    metrics: Metrics,
    pool: Pool,
    /// The server stops: nothing is kept ready any more, and nothing is tried again.
    stop: CancellationToken,
    tasks: TaskTracker,
    closing: Arc<AtomicBool>,
}

/// The sessions of one project of a fleet: those of others are not there. Cheap to clone.
#[derive(Clone)]
pub struct ProjectFleet {
    fleet: Fleet,
    project: ProjectId,
}

impl Deref for ProjectFleet {
    type Target = Fleet;

    fn deref(&self) -> &Fleet {
        &self.fleet
    }
}

/// How a fleet is run.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// How many may come, and how fast.
    pub budgets: Budgets,
    /// How many are kept ready.
    pub pool: PoolSize,
    /// The most memory those may take, bytes; none: a quarter of what is free for [`PoolSize::Auto`].
    pub pool_memory: Option<u64>,
    /// How long those run before they are frozen.
    pub settle: Duration,
    /// Classes [`PoolSize::Auto`] keeps ready.
    pub classes: Vec<Class>,
    /// When idle sessions are suspended.
    pub standby: Standby,
    /// How often a session in use is asked whether it still answers ([`PING_EVERY`]); one that does not for
    /// several times in a row is ended as crashed.
    pub ping_every: Duration,
    /// What saves the profiles of sessions that end; none: sessions have no profiles.
    pub profile_exporter: Option<Arc<dyn ProfileExporter>>,
    /// How long a session is remembered once it has ended; none: for ever.
    pub remembered: Option<Duration>,
}

/// A guest that is only slow is given some 40 s; the official SDKs wait 60 s for an answer.
pub const PING_EVERY: Duration = Duration::from_secs(5);

/// When a session that nobody uses is suspended (standby, as the API says).
#[derive(Debug, Clone, Copy, Default)]
pub struct Standby {
    /// Time without use after which it is suspended; none: never.
    pub after: Option<Duration>,
    /// From then on, the time after which its memory is pushed out to swap; none: never.
    pub page_out_after: Option<Duration>,
}

impl FleetOptions {
    /// Nothing is kept ready, nothing is suspended, and a create for which there is no room is refused at
    /// once.
    #[must_use]
    pub fn cold(max_sessions: usize) -> Self {
        let pool = PoolSize::Fixed(BTreeMap::new());
        let budgets = Budgets { max_sessions, starts_at_once: max_sessions, wait: Duration::ZERO };
        Self {
            budgets,
            pool,
            pool_memory: None,
            settle: Duration::ZERO,
            classes: Vec::new(),
            standby: Standby::default(),
            ping_every: PING_EVERY,
            profile_exporter: None,
            remembered: None,
        }
    }
}

impl Fleet {
    /// Clears away what an earlier server left, records the loss, and is ready for sessions; some
    /// are started ahead in the background.
    pub async fn start(
        store: Arc<dyn Store>,
        runtime: Arc<dyn Runtime>,
        options: FleetOptions,
    ) -> Result<Self, FleetError> {
        let found = runtime
            .reconcile()
            .await
            .map_err(|error| FleetError::Unreachable(format!("clearing up: {error}")))?;
        let detail = Some("the server that held the session went away");
        let lost = store
            .everywhere::<SessionRow>()
            .end_all(Timestamp::now(), EndReason::HostLost, detail)
            .await?;
        if lost > 0 || !found.is_empty() {
            tracing::warn!(
                rows = lost,
                found = found.len(),
                "cleared away the sessions that an earlier server left running; they ended as host_lost"
            );
        }
        let FleetOptions {
            budgets,
            pool: size,
            pool_memory: memory,
            settle,
            classes,
            standby,
            ping_every,
            profile_exporter,
            remembered,
        } = options;
        let metrics = Metrics::default();
        let admission = Admission::new(budgets, Arc::clone(&runtime), metrics.clone());
        let fleet = Self {
            store,
            runtime,
            directory: Arc::default(),
            pending_ends: Arc::default(),
            admission,
            standby,
            ping_every,
            profile_exporter,
            pool: Pool::new(metrics.clone()),
            metrics,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            closing: Arc::default(),
        };
        let keeper = Keeper {
            pool: fleet.pool.clone(),
            runtime: Arc::clone(&fleet.runtime),
            size,
            memory,
            settle,
            classes,
            admission: fleet.admission.clone(),
            stop: fleet.stop.clone(),
        };
        fleet.tasks.spawn(keeper.run());
        if let Some(age) = remembered {
            let (store, stop) = (Arc::clone(&fleet.store), fleet.stop.clone());
            fleet.tasks.spawn(forget(store, age, stop));
        }
        Ok(fleet)
    }

    /// The sessions of one project.
    #[must_use]
    pub fn project(&self, project: &ProjectId) -> ProjectFleet {
        ProjectFleet { fleet: self.clone(), project: project.clone() }
    }
}

impl ProjectFleet {
    /// Creates a session and answers when clients can connect to it. Waits a little when there is
    /// no room for it. A caller that goes away meanwhile ends the session.
    pub async fn create(&self, new: NewSession) -> Result<(SessionView, Stages), FleetError> {
        let began = Instant::now();
        let waiting = self.pool.waiting();
        let (permit, prepared) = tokio::select! {
            admitted = self.admit(&new) => admitted?,
            () = self.stop.cancelled() => return Err(FleetError::ShuttingDown),
        };
        let admitted = began.elapsed();
        let row = SessionRow {
            id: prepared.as_ref().map_or_else(SessionId::generate, |prepared| prepared.id.clone()),
            name: new.name,
            tags: new.tags,
            config: new.config,
            created_at: Timestamp::now(),
            ended: None,
        };
        let id = row.id.clone();
        let (commands, inbox) = mpsc::channel(16);
        let (created, outcome) = oneshot::channel();
        self.directory.enter(id.clone(), commands);
        let actor = SessionActor::new(Parts {
            project: self.project.clone(),
            row,
            route: new.route,
            profile_exporter: self.profile_exporter.clone(),
            standby: self.standby,
            ping_every: self.ping_every,
            prepared,
            admitted,
            waiting: Some(waiting),
            store: Arc::clone(&self.store),
            runtime: Arc::clone(&self.runtime),
            metrics: self.metrics.clone(),
            directory: Arc::clone(&self.directory),
            pending_ends: Arc::clone(&self.pending_ends),
            stop: self.stop.clone(),
            inbox,
            created,
            permit,
        });
        // The actor writes the row, so that a caller who goes away cannot leave one without an actor.
        self.tasks.spawn(actor.run());
        // A shutdown that began in between did not see this actor yet.
        if self.is_closing() {
            self.end(&id, EndReason::ServerShutdown).await;
        }
        outcome.await.unwrap_or(Err(FleetError::ShuttingDown))
    }

    /// The running session with this id or name. Where there is none, the refusal says of one that has
    /// ended when and why.
    pub async fn reach(&self, id_or_name: &str) -> Result<LiveSession, FleetError> {
        match self.live(id_or_name) {
            Ok(live) => Ok(live),
            // It has ended, or is being created.
            Err(_) => match self.find(id_or_name, false).await {
                Ok(row) => Err(FleetError::NotFound(row.id.to_string())),
                Err(error) => Err(error),
            },
        }
    }

    /// The running session with this id or name. No I/O.
    pub fn live(&self, id_or_name: &str) -> Result<LiveSession, FleetError> {
        let live = self.directory.live(&self.project, id_or_name);
        live.ok_or_else(|| FleetError::NotFound(id_or_name.to_owned()))
    }

    /// A session by id or name: a running one, or with `include_deleted` also an ended one.
    pub async fn find(
        &self,
        id_or_name: &str,
        include_deleted: bool,
    ) -> Result<SessionView, FleetError> {
        let row = self.row(id_or_name).await?;
        let row = row.ok_or_else(|| FleetError::NotFound(id_or_name.to_owned()))?;
        match row.ended {
            Some((_, EndReason::ServerShutdown, _)) if !include_deleted && self.is_closing() => {
                Err(FleetError::ShuttingDown)
            }
            Some((at, reason, detail)) if !include_deleted => {
                Err(FleetError::Ended { id: row.id, end: Ended { at, reason }, detail })
            }
            ended => Ok(SessionRow { ended, ..row }),
        }
    }

    async fn row(&self, id_or_name: &str) -> Result<Option<SessionRow>, FleetError> {
        let mut row = self.rows().find(id_or_name).await?;
        if let Some(row) = &mut row {
            self.pending_ends.correct(row);
        }
        Ok(row)
    }

    fn rows(&self) -> Rows<'_, SessionRow> {
        self.store.rows(&self.project)
    }

    /// Sessions, newest first. One whose end the store has not taken yet is not among those that run, nor
    /// among those that have ended.
    pub async fn list(&self, filter: ListSessions) -> Result<Page<SessionView>, FleetError> {
        let (mut rows, has_more) = self.rows().list(&filter).await?;
        for row in &mut rows {
            self.pending_ends.correct(row);
        }
        if filter.status == StatusFilter::Active {
            rows.retain(|row| row.ended.is_none());
        }
        Ok(Page { items: rows, has_more })
    }

    /// Changes a running session. Changes of one session are made one after the other, in the order in
    /// which they come, and each is made to its end even if nobody waits for it any more; one whose turn
    /// has not come by then is not made. One that is still being created has no clients to change it for
    /// and is `NotFound`.
    ///
    /// Steps are made in this order: name, tags and timeout; proxy; profile; viewport; location; start
    /// URL. Where one fails the earlier ones stay.
    pub async fn change(
        &self,
        id_or_name: &str,
        change: Change,
        services: Arc<dyn ChangeServices>,
    ) -> Result<SessionView, FleetError> {
        let found = self.find(id_or_name, false).await?;
        let live = self.live(found.id.as_str()).ok();
        let answered = async {
            let actor = self.directory.actor(&found.id)?;
            let (done, answer) = oneshot::channel();
            let command = Command::Change { change: Box::new(change), services, done };
            actor.send(command).await.ok()?;
            answer.await.ok()
        };
        match answered.await {
            Some(answer) => answer,
            None => Err(self.gone(&found.id, live).await),
        }
    }

    /// Why a session whose actor takes no command is not there: it ended, or is still being created.
    async fn gone(&self, id: &SessionId, live: Option<LiveSession>) -> FleetError {
        if let Some(live) = &live {
            // It is told before its row has it.
            live.wait_end().await;
        }
        match (self.find(id.as_str(), false).await, live.and_then(|live| live.end())) {
            (Err(error), _) => error,
            (Ok(_), Some(Ended { reason: EndReason::ServerShutdown, .. })) => {
                FleetError::ShuttingDown
            }
            (Ok(_), Some(end)) => FleetError::Ended { id: id.clone(), end, detail: None },
            (Ok(_), None) => FleetError::NotFound(id.to_string()),
        }
    }

    /// Ends a session. Answers at once: its URLs are dead, the reaper clears it away. Deleting an
    /// ended session again is fine; one that never was is `NotFound`.
    pub async fn delete(&self, id_or_name: &str) -> Result<(), FleetError> {
        let row = self.row(id_or_name).await?;
        let row = row.ok_or_else(|| FleetError::NotFound(id_or_name.to_owned()))?;
        if row.ended.is_none() && !self.end(&row.id, EndReason::Deleted).await {
            // Its actor is gone without having been able to record the end.
            self.rows().end(&row.id, Timestamp::now(), EndReason::Deleted, None).await?;
        }
        Ok(())
    }
}

impl Fleet {
    /// A permit for the session, and one out of the pool to take it, or the right to start one.
    async fn admit(&self, new: &NewSession) -> Result<(Permit, Option<Prepared>), FleetError> {
        let deadline = self.admission.deadline();
        let stamp = self.runtime.programs_stamp();
        let turn = self.admission.turn(deadline).await?;
        let need = || Need::of(&new.config, self.pool.has(&new.config, stamp));
        let pressed = || self.pool.look_again();
        let mut permit = self.admission.permit(need, deadline, pressed).await?;
        let prepared = self.pool.claim(&new.config, stamp);
        drop(turn);
        if prepared.is_none() {
            permit.may_start(deadline).await?;
        }
        Ok((permit, prepared))
    }

    /// Closes the egress route of all sessions that go through a proxy, whose row is deleted already: who
    /// takes it just now is found too. When this answers, nothing goes through it any more.
    pub async fn close_proxy(&self, proxy: &ProxyId) {
        let closing = self.directory.actors().into_iter().map(|actor| async move {
            let (done, closed) = oneshot::channel();
            let command = Command::CloseProxy { proxy: proxy.clone(), done };
            // An actor that drops either has no such route to close.
            if actor.send(command).await.is_ok() {
                let _ = closed.await;
            }
        });
        futures_util::future::join_all(closing).await;
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Tells the session's actor to end it and waits until it is over for clients; answers whether there
    /// was one.
    async fn end(&self, id: &SessionId, reason: EndReason) -> bool {
        let Some(actor) = self.directory.actor(id) else { return false };
        let (done, over) = oneshot::channel();
        actor.send(Command::End { reason, done }).await.is_ok() && over.await.is_ok()
    }

    /// The open file of a recording that was still inside a session when it ended; none: there is no
    /// such file. It stays until [`Self::drop_rescued`].
    pub async fn open_rescued(
        &self,
        session: &SessionId,
        replay: &ReplayId,
    ) -> io::Result<Option<File>> {
        self.runtime.open_rescued(session, replay).await
    }

    /// Removes the file of [`Self::open_rescued`]; one that is not there is no error.
    pub async fn drop_rescued(&self, session: &SessionId, replay: &ReplayId) -> io::Result<()> {
        self.runtime.drop_rescued(session, replay).await
    }

    /// Removes those files of all sessions that clients cannot use any more.
    pub async fn drop_all_rescued(&self) -> io::Result<()> {
        self.runtime.drop_rescued_except(&self.active()).await
    }

    /// The rows.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// How many sessions of each class are ready in the pool.
    #[must_use]
    pub fn ready(&self) -> BTreeMap<Class, usize> {
        self.pool.ready()
    }

    /// Ids of the running sessions.
    #[must_use]
    pub fn active(&self) -> Vec<SessionId> {
        self.directory.active()
    }

    /// Refuses new sessions, ends all running ones and waits until nothing of them is left.
    pub async fn shutdown(&self) {
        self.closing.store(true, Ordering::Release);
        self.stop.cancel();
        // All at once: one that is busy is not waited for before others are told.
        let told = self.directory.actors().into_iter().map(|actor| async move {
            let (done, _) = oneshot::channel();
            let _ = actor.send(Command::End { reason: EndReason::ServerShutdown, done }).await;
        });
        futures_util::future::join_all(told).await;
        self.tasks.close();
        self.tasks.wait().await;
    }
}

pub(crate) fn name_taken(error: StoreError, name: Option<&str>) -> FleetError {
    match error {
        StoreError::Taken { existing } => FleetError::NameTaken {
            name: name.unwrap_or_default().to_owned(),
            existing_id: existing,
        },
        other => FleetError::Store(other),
    }
}
