//! A runtime made of channels.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use browserd_api::browser::{EndReason, SessionConfig};
use browserd_api::{ProjectId, SessionId};
use browserd_fleet::{
    BrowserSocket, Class, Fleet, FleetOptions, Headroom, Instance, NewSession, ProjectFleet,
    Runtime, RuntimeEvent, StartError, Urgency,
};
use browserd_protocol::Route;
use browserd_store::SqliteStore;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

/// A runtime whose sessions start when told and end when asked.
#[derive(Default)]
pub(crate) struct Fake {
    /// Starts wait for this when set.
    pub(crate) gate: Option<Arc<Notify>>,
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
    /// Sessions that are frozen.
    pub(crate) frozen: Arc<Mutex<BTreeSet<SessionId>>>,
    /// Sessions whose memory was pushed out.
    pub(crate) paged_out: Arc<Mutex<BTreeSet<SessionId>>>,
    pub(crate) events: Mutex<BTreeMap<SessionId, mpsc::Sender<RuntimeEvent>>>,
    pub(crate) running: Arc<AtomicUsize>,
}

pub(crate) struct FakeInstance {
    id: SessionId,
    fails_to_assign: bool,
    frozen: Arc<Mutex<BTreeSet<SessionId>>>,
    paged_out: Arc<Mutex<BTreeSet<SessionId>>>,
    events: mpsc::Sender<RuntimeEvent>,
    slow_end: Option<Arc<Notify>>,
    running: Arc<AtomicUsize>,
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
        if let Some(gate) = &self.gate {
            gate.notified().await;
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
        self.events.lock().insert(id.clone(), events.clone());
        Ok(Box::new(FakeInstance {
            id: id.clone(),
            fails_to_assign: self.fails_to_assign,
            frozen: Arc::clone(&self.frozen),
            paged_out: Arc::clone(&self.paged_out),
            events,
            slow_end: self.slow_end.clone(),
            running: Arc::clone(&self.running),
        }))
    }

    fn programs_stamp(&self) -> u64 {
        self.stamp.load(Ordering::SeqCst)
    }

    fn headroom(&self) -> Headroom {
        self.headroom.lock().unwrap_or(Headroom::PLENTY)
    }

    async fn reconcile(&self) -> io::Result<Vec<SessionId>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Instance for FakeInstance {
    fn guest_socket(&self) -> PathBuf {
        "/nowhere/guest.sock".into()
    }

    async fn browser_socket(&self) -> io::Result<BrowserSocket> {
        Err(io::Error::other("no browser"))
    }

    async fn offered_file(&self, _: u64) -> io::Result<std::fs::File> {
        Err(io::Error::other("no files"))
    }

    async fn assign(&self, _: &SessionConfig, _: &Route, _: bool) -> io::Result<()> {
        match self.fails_to_assign {
            true => Err(io::Error::other("not today")),
            false => Ok(()),
        }
    }

    async fn route(&self, _: Route) -> io::Result<()> {
        Ok(())
    }

    fn freeze(&self, frozen: bool) -> bool {
        let mut all = self.frozen.lock();
        match frozen {
            true => all.insert(self.id.clone()),
            false => all.remove(&self.id),
        };
        frozen
    }

    async fn page_out(&self) -> io::Result<bool> {
        self.paged_out.lock().insert(self.id.clone());
        Ok(true)
    }

    async fn end(&self, reason: EndReason) {
        let (events, slow, running) =
            (self.events.clone(), self.slow_end.clone(), Arc::clone(&self.running));
        tokio::spawn(async move {
            if let Some(slow) = slow {
                slow.notified().await;
            }
            running.fetch_sub(1, Ordering::SeqCst);
            let _ = events.send(RuntimeEvent::Ended { reason, detail: None }).await;
        });
    }
}

pub(crate) fn new(name: Option<&str>, timeout_seconds: u32) -> NewSession {
    NewSession {
        config: SessionConfig { timeout_seconds, ..Class::HEADLESS.template() },
        name: name.map(str::to_owned),
        tags: BTreeMap::new(),
        route: Route::Direct,
    }
}

pub(crate) async fn fleet(fake: Fake, places: usize) -> (ProjectFleet, Arc<Fake>) {
    fleet_with(fake, FleetOptions::cold(places)).await
}

pub(crate) async fn fleet_with(fake: Fake, options: FleetOptions) -> (ProjectFleet, Arc<Fake>) {
    let fake = Arc::new(fake);
    let store = Arc::new(SqliteStore::in_memory().await.unwrap());
    let fleet = Fleet::start(store, Arc::clone(&fake) as _, options).await.unwrap();
    (fleet.project(&ProjectId::default()), fake)
}
