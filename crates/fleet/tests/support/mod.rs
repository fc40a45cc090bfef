//! A runtime made of channels.

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod full_disk;
pub(crate) mod services;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Seek, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use browserd_api::browser::{EndReason, SessionConfig};
use browserd_api::{ProjectId, ReplayId, SessionId};
use browserd_fleet::{
    BrowserStream, ByteStream, Class, CommandError, Fleet, FleetOptions, Headroom, Instance,
    NewSession, ProjectFleet, Runtime, RuntimeEvent, StartError, Urgency,
};
use browserd_protocol::Route;
use browserd_store::SqliteStore;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

/// A runtime whose sessions start when told and end when asked.
#[derive(Default)]
pub(crate) struct Fake {
    /// Starts wait for this when set.
    pub(crate) may_start: Option<Arc<Notify>>,
    /// Ends wait for this when set.
    pub(crate) slow_end: Option<Arc<Notify>>,
    pub(crate) fails: bool,
    /// Becoming a client's fails.
    pub(crate) fails_to_assign: bool,
    /// [`Runtime::programs_stamp`].
    pub(crate) stamp: AtomicU64,
    /// [`Runtime::headroom`]; plenty, unless set.
    pub(crate) headroom: Mutex<Option<Headroom>>,
    /// Starts of each urgency.
    pub(crate) started_now: AtomicUsize,
    pub(crate) started_ahead: AtomicUsize,
    /// Freezing and thawing waits for a permit of this when set: a kernel that takes its time.
    pub(crate) slow_freeze: Option<Arc<Semaphore>>,
    /// How often one was to be frozen or thawed.
    pub(crate) freezes_asked: Arc<AtomicUsize>,
    /// Sessions that are frozen.
    pub(crate) frozen: Arc<Mutex<BTreeSet<SessionId>>>,
    /// Sessions whose memory was pushed out.
    pub(crate) paged_out: Arc<Mutex<BTreeSet<SessionId>>>,
    /// Sessions that run, and where their events go.
    pub(crate) events: Events,
    /// Files that are on offer.
    pub(crate) offers: Arc<Mutex<BTreeMap<(SessionId, u64), std::fs::File>>>,
    /// What was recorded in sessions; rescued once they do not run any more.
    pub(crate) recordings: Mutex<BTreeMap<(SessionId, ReplayId), Vec<u8>>>,
    pub(crate) running: Arc<AtomicUsize>,
    pub(crate) pings: Arc<Pings>,
    pub(crate) gateway: Arc<Gateway>,
}

type Events = Arc<Mutex<BTreeMap<SessionId, mpsc::Sender<RuntimeEvent>>>>;

/// How all sessions of a fake answer pings.
#[derive(Default)]
pub(crate) struct Pings {
    /// So many are not answered before the next one that is.
    pub(crate) missed: AtomicUsize,
    pub(crate) asked: AtomicUsize,
}

/// The egress gateway of all sessions of a fake.
#[derive(Default)]
pub(crate) struct Gateway {
    /// What it answers next; taken at once when there is nothing here.
    pub(crate) answers: Mutex<VecDeque<Result<(), CommandError>>>,
    /// The routes it took, the one in force last.
    pub(crate) taken: Mutex<Vec<Route>>,
}

pub(crate) struct FakeInstance {
    id: SessionId,
    gateway: Arc<Gateway>,
    all: Events,
    offers: Arc<Mutex<BTreeMap<(SessionId, u64), std::fs::File>>>,
    fails_to_assign: bool,
    slow_freeze: Option<Arc<Semaphore>>,
    freezes_asked: Arc<AtomicUsize>,
    /// What was asked for last.
    freezing: Mutex<Option<JoinHandle<()>>>,
    frozen: Arc<Mutex<BTreeSet<SessionId>>>,
    paged_out: Arc<Mutex<BTreeSet<SessionId>>>,
    slow_end: Option<Arc<Notify>>,
    running: Arc<AtomicUsize>,
    pings: Arc<Pings>,
}

#[async_trait]
impl Runtime for Fake {
    async fn start(
        &self,
        id: &SessionId,
        _: &SessionConfig,
        _: &Route,
        urgency: Urgency,
        events: mpsc::Sender<RuntimeEvent>,
    ) -> Result<Box<dyn Instance>, StartError> {
        if let Some(may_start) = &self.may_start {
            match &urgency {
                Urgency::Now => may_start.notified().await,
                Urgency::Ahead(unless) => tokio::select! {
                    () = may_start.notified() => {}
                    () = unless.cancelled() => {
                        let detail = "nobody wants it any more".to_owned();
                        return Err(StartError { reason: EndReason::FailedToStart, detail });
                    }
                },
            }
        }
        if self.fails {
            return Err(StartError {
                reason: EndReason::FailedToStart,
                detail: "no chromium today".to_owned(),
            });
        }
        match urgency {
            Urgency::Now => self.started_now.fetch_add(1, Ordering::SeqCst),
            Urgency::Ahead(_) => self.started_ahead.fetch_add(1, Ordering::SeqCst),
        };
        self.running.fetch_add(1, Ordering::SeqCst);
        self.events.lock().insert(id.clone(), events);
        Ok(Box::new(FakeInstance {
            id: id.clone(),
            fails_to_assign: self.fails_to_assign,
            slow_freeze: self.slow_freeze.clone(),
            freezes_asked: Arc::clone(&self.freezes_asked),
            freezing: Mutex::default(),
            frozen: Arc::clone(&self.frozen),
            paged_out: Arc::clone(&self.paged_out),
            all: Arc::clone(&self.events),
            offers: Arc::clone(&self.offers),
            slow_end: self.slow_end.clone(),
            running: Arc::clone(&self.running),
            pings: Arc::clone(&self.pings),
            gateway: Arc::clone(&self.gateway),
        }))
    }

    fn programs_stamp(&self) -> u64 {
        self.stamp.load(Ordering::SeqCst)
    }

    fn headroom(&self) -> Headroom {
        self.headroom.lock().unwrap_or(Headroom::PLENTY)
    }

    async fn reconcile(&self) -> io::Result<Vec<SessionId>> {
        let found = std::mem::take(&mut *self.events.lock());
        self.running.fetch_sub(found.len(), Ordering::SeqCst);
        Ok(found.into_keys().collect())
    }

    async fn open_rescued(
        &self,
        session: &SessionId,
        replay: &ReplayId,
    ) -> io::Result<Option<std::fs::File>> {
        if self.events.lock().contains_key(session) {
            return Ok(None);
        }
        let recordings = self.recordings.lock();
        recordings.get(&(session.clone(), replay.clone())).map(|content| file(content)).transpose()
    }

    async fn drop_rescued(&self, session: &SessionId, replay: &ReplayId) -> io::Result<()> {
        self.recordings.lock().remove(&(session.clone(), replay.clone()));
        Ok(())
    }

    async fn drop_rescued_except(&self, keep: &[SessionId]) -> io::Result<()> {
        let running = self.events.lock();
        self.recordings
            .lock()
            .retain(|(session, _), _| running.contains_key(session) || keep.contains(session));
        Ok(())
    }
}

/// An open file with this content.
pub(crate) fn file(content: &[u8]) -> io::Result<std::fs::File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

#[async_trait]
impl Instance for FakeInstance {
    async fn dial_guest(&self) -> io::Result<ByteStream> {
        self.running()?;
        Ok(echo())
    }

    async fn dial_browser(&self) -> io::Result<BrowserStream> {
        self.running()?;
        let (host, path) = ("127.0.0.1:9222".to_owned(), "/devtools/browser/1".to_owned());
        Ok(BrowserStream { stream: echo(), host, path })
    }

    async fn take_file(&self, ticket: u64) -> io::Result<std::fs::File> {
        self.running()?;
        match self.offers.lock().remove(&(self.id.clone(), ticket)) {
            Some(file) => Ok(file),
            None => Err(io::Error::other("no such file is on offer")),
        }
    }

    async fn assign(&self, _: &SessionConfig, route: &Route, _: bool) -> Result<(), CommandError> {
        if self.fails_to_assign {
            return Err(CommandError::Refused("not today".to_owned()));
        }
        match route {
            Route::Direct => self.running().map_err(|_| CommandError::Gone),
            route => self.route(route.clone()).await,
        }
    }

    async fn route(&self, route: Route) -> Result<(), CommandError> {
        tokio::task::yield_now().await;
        self.running().map_err(|_| CommandError::Gone)?;
        let answer = self.gateway.answers.lock().pop_front().unwrap_or(Ok(()));
        if answer.is_ok() {
            self.gateway.taken.lock().push(route);
        }
        answer
    }

    async fn ping(&self) -> Result<(), CommandError> {
        self.running().map_err(|_| CommandError::Gone)?;
        let nth = self.pings.asked.fetch_add(1, Ordering::SeqCst) + 1;
        match nth % self.pings.missed.load(Ordering::SeqCst).saturating_add(1) {
            0 => Ok(()),
            _ => Err(CommandError::Unanswered(Duration::ZERO)),
        }
    }

    fn freeze(&self, frozen: bool) -> BoxFuture<'static, bool> {
        self.freezes_asked.fetch_add(1, Ordering::SeqCst);
        let (id, all) = (self.id.clone(), Arc::clone(&self.frozen));
        let write = move || match frozen {
            true => _ = all.lock().insert(id),
            false => _ = all.lock().remove(&id),
        };
        let Some(gate) = self.slow_freeze.clone() else {
            write();
            return ready(frozen).boxed();
        };
        let mut last = self.freezing.lock();
        let before = last.take();
        let (done, answer) = oneshot::channel();
        *last = Some(tokio::spawn(async move {
            if let Some(before) = before {
                before.await.unwrap();
            }
            gate.acquire().await.unwrap().forget();
            write();
            let _ = done.send(frozen);
        }));
        answer.map(Result::unwrap).boxed()
    }

    async fn page_out(&self) -> io::Result<bool> {
        self.paged_out.lock().insert(self.id.clone());
        Ok(true)
    }

    fn end(&self, reason: EndReason) {
        let Some(events) = self.all.lock().remove(&self.id) else { return };
        let (slow, running) = (self.slow_end.clone(), Arc::clone(&self.running));
        tokio::spawn(async move {
            if let Some(slow) = slow {
                slow.notified().await;
            }
            running.fetch_sub(1, Ordering::SeqCst);
            let _ = events.send(RuntimeEvent::Ended { reason, detail: None }).await;
        });
    }
}

impl FakeInstance {
    fn running(&self) -> io::Result<()> {
        match self.all.lock().contains_key(&self.id) {
            true => Ok(()),
            false => Err(io::Error::other("it has ended")),
        }
    }
}

/// Something that sends back what it gets.
fn echo() -> ByteStream {
    let (near, far) = tokio::io::duplex(1024);
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(far);
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    ByteStream::other(near)
}

pub(crate) fn new(name: Option<&str>, timeout_seconds: u32) -> NewSession {
    NewSession {
        config: SessionConfig { timeout_seconds, ..Class::HEADLESS.template() },
        name: name.map(str::to_owned),
        tags: BTreeMap::new(),
        route: Route::Direct,
    }
}

pub(crate) async fn fleet(fake: Fake, max_sessions: usize) -> (ProjectFleet, Arc<Fake>) {
    fleet_with(fake, FleetOptions::cold(max_sessions)).await
}

pub(crate) async fn fleet_with(fake: Fake, options: FleetOptions) -> (ProjectFleet, Arc<Fake>) {
    let fake = Arc::new(fake);
    let store = Arc::new(SqliteStore::in_memory().await.unwrap());
    let fleet = Fleet::start(store, Arc::clone(&fake) as _, options).await.unwrap();
    (fleet.project(&ProjectId::default()), fake)
}
