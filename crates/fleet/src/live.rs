//! A running session, as request handlers use it.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use browserd_api::browser::EndReason;
use browserd_api::{ProjectId, SessionId, Timestamp};
use browserd_protocol::Route;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{BrowserStream, ByteStream, CommandError, Metrics};

/// How long an end may take to be recorded once its guest is gone: what ran inside is killed and
/// waited for first.
const RECORDED_WITHIN: Duration = Duration::from_secs(5);

/// The end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// When it was over for clients.
    pub at: Timestamp,
    /// Why.
    pub reason: EndReason,
}

/// A running session. Cheap to clone.
#[derive(Clone)]
pub struct LiveSession {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) id: SessionId,
    pub(crate) project: ProjectId,
    pub(crate) instance: Arc<dyn crate::Instance>,
    pub(crate) ended: watch::Receiver<Option<Ended>>,
    pub(crate) uses: Uses,
}

impl LiveSession {
    /// Id.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.inner.id
    }

    /// Whose it is.
    #[must_use]
    pub fn project(&self) -> &ProjectId {
        &self.inner.project
    }

    /// A fresh connection to the guest's HTTP API.
    pub async fn dial_guest(&self) -> io::Result<ByteStream> {
        self.inner.instance.dial_guest().await
    }

    /// A fresh connection to Chromium's debugging port.
    pub async fn dial_browser(&self) -> io::Result<BrowserStream> {
        self.inner.instance.dial_browser().await
    }

    /// The open file of an offer the guest made ([`browserd_protocol::FileOffer`]), fit to be read
    /// here. It stays readable when the session has ended.
    pub async fn take_file(&self, ticket: u64) -> io::Result<File> {
        self.inner.instance.take_file(ticket).await
    }

    /// Changes the egress route. When this answers, nothing takes another one any more; one that is
    /// suspended stays so.
    pub(crate) async fn route(&self, route: Route) -> Result<(), CommandError> {
        self.inner.instance.route(route).await
    }

    /// Why the session has ended, or `None` while it runs.
    #[must_use]
    pub fn ended(&self) -> Option<EndReason> {
        self.end().map(|end| end.reason)
    }

    /// When and why it has ended, or `None` while it runs.
    #[must_use]
    pub fn end(&self) -> Option<Ended> {
        *self.inner.ended.borrow()
    }

    /// Waits for the end.
    pub async fn wait_end(&self) -> EndReason {
        let mut ended = self.inner.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(end) => end.map_or(EndReason::Crashed, |end| end.reason),
            Err(_) => EndReason::Crashed,
        }
    }

    /// Why it is over, if what is inside takes no connections any more: then it is dead, and its end about to
    /// be recorded, which is waited for.
    pub async fn over(&self) -> Option<EndReason> {
        if self.ended().is_none() && self.dial_guest().await.is_ok() {
            return None;
        }
        tokio::time::timeout(RECORDED_WITHIN, self.wait_end()).await.ok()
    }

    /// Waits until nothing of the session is left.
    pub async fn wait_gone(&self) {
        let mut ended = self.inner.ended.clone();
        // Its actor holds the other end until it is done.
        while ended.changed().await.is_ok() {}
    }

    /// Counts as activity until dropped: the session neither times out nor is suspended meanwhile. A
    /// suspended one is being resumed when this answers: what it is sent from then on waits for it.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.inner.uses.activity.send_modify(|count| *count += 1);
        Activity { wake_lock: Some(self.wake_lock()), session: self.clone() }
    }

    /// Until dropped the session is not suspended, though it may time out.
    #[must_use]
    pub fn wake_lock(&self) -> WakeLock {
        self.inner.acquire_wake_lock();
        WakeLock(self.clone())
    }

    /// Whether it is suspended. It is still while it is being resumed.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.inner.uses.freeze_state.lock().frozen
    }
}

/// Who uses a session.
pub(crate) struct Uses {
    /// How many use it as clients do.
    pub(crate) activity: watch::Sender<usize>,
    /// How many keep it from being suspended.
    pub(crate) wake_locks: watch::Sender<usize>,
    freeze_state: Mutex<FreezeState>,
    metrics: Metrics,
}

/// Whether it is frozen, and is to be. Freezing takes the kernel's time, so it is not done under the lock:
/// one task at a time ([`Inner::settle`]) makes what is what is wanted.
///
/// ```text
///  suspend() ───▶ wanted ─┐
///                         ├─▶ settle: Instance::freeze(wanted), until frozen = wanted
///  wake_lock() ─▶ !wanted ┘
/// ```
struct FreezeState {
    wake_locks: usize,
    /// Whether it is to be frozen; never with a wake lock.
    wanted: bool,
    /// Since when it is to be as is wanted.
    since: Instant,
    /// Whether it is frozen, as far as is known.
    frozen: bool,
    /// Whether the task is there.
    settling: bool,
}

impl Uses {
    /// Nobody uses it yet; the session may be `frozen` all the same.
    pub(crate) fn new(metrics: Metrics, frozen: bool) -> Self {
        if frozen {
            metrics.froze();
        }
        Self {
            activity: watch::Sender::new(0),
            wake_locks: watch::Sender::new(0),
            freeze_state: Mutex::new(FreezeState {
                wake_locks: 0,
                wanted: frozen,
                since: Instant::now(),
                frozen,
                settling: false,
            }),
            metrics,
        }
    }
}

impl Inner {
    fn acquire_wake_lock(self: &Arc<Self>) {
        let mut state = self.uses.freeze_state.lock();
        state.wake_locks += 1;
        self.want(&mut state, false);
        self.uses.wake_locks.send_replace(state.wake_locks);
    }

    fn release_wake_lock(&self) {
        let mut state = self.uses.freeze_state.lock();
        state.wake_locks -= 1;
        self.uses.wake_locks.send_replace(state.wake_locks);
    }

    /// Has the session frozen unless there is a wake lock.
    pub(crate) fn suspend(self: &Arc<Self>) {
        let mut state = self.uses.freeze_state.lock();
        if state.wake_locks == 0 {
            self.want(&mut state, true);
        }
    }

    fn want(self: &Arc<Self>, state: &mut FreezeState, frozen: bool) {
        if state.wanted != frozen {
            (state.wanted, state.since) = (frozen, Instant::now());
        }
        if state.frozen != frozen && !state.settling {
            state.settling = true;
            tokio::spawn(Arc::clone(self).settle());
        }
    }

    /// Freezes and thaws it until it is as is wanted, or cannot be.
    async fn settle(self: Arc<Self>) {
        loop {
            let wanted = {
                let mut state = self.uses.freeze_state.lock();
                if state.wanted == state.frozen {
                    state.settling = false;
                    return;
                }
                state.wanted
            };
            let frozen = self.instance.freeze(wanted).await;
            let mut state = self.uses.freeze_state.lock();
            if std::mem::replace(&mut state.frozen, frozen) != frozen {
                match frozen {
                    true => self.uses.metrics.froze(),
                    false => self.uses.metrics.thawed(Some(state.since.elapsed())),
                }
            }
            if frozen != wanted && state.wanted == wanted {
                // It cannot be. The next who wants it tries again.
                state.wanted = frozen;
            }
        }
    }

    /// Pushes the memory of a suspended session out to swap. One that is used meanwhile is resumed at
    /// once, and takes back what it needs.
    pub(crate) async fn page_out(&self) {
        if !self.uses.freeze_state.lock().frozen {
            return;
        }
        match self.instance.page_out().await {
            Ok(true) => self.uses.metrics.paged_out(),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(session = %self.id, %error, "could not push the memory of a suspended session out to swap; it stays in memory, nothing else is wrong");
            }
        }
    }
}

impl Drop for Uses {
    fn drop(&mut self) {
        if self.freeze_state.get_mut().frozen {
            self.metrics.thawed(None);
        }
    }
}

/// Held while a client uses a session.
pub struct Activity {
    wake_lock: Option<WakeLock>,
    session: LiveSession,
}

impl Activity {
    /// The client is there and needs nothing just now: the session may be suspended, though it does not
    /// time out.
    pub fn rest(&mut self) {
        self.wake_lock = None;
    }

    /// The client needs something again. A suspended session is resumed before this answers.
    pub fn wake(&mut self) {
        self.wake_lock.get_or_insert_with(|| self.session.wake_lock());
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.session.inner.uses.activity.send_modify(|count| *count -= 1);
    }
}

/// Keeps a session from being suspended until it is dropped.
pub struct WakeLock(LiveSession);

impl Drop for WakeLock {
    fn drop(&mut self) {
        self.0.inner.release_wake_lock();
    }
}
