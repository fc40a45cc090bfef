//! A running session, as request handlers hold it.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use browserd_api::browser::EndReason;
use browserd_api::{ProjectId, SessionId};
use browserd_protocol::Route;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{BrowserStream, ByteStream, CommandError, Metrics};

/// A running session. Cheap to clone.
#[derive(Clone)]
pub struct LiveSession {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) id: SessionId,
    pub(crate) project: ProjectId,
    pub(crate) instance: Box<dyn crate::Instance>,
    pub(crate) ended: watch::Receiver<Option<EndReason>>,
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
        *self.inner.ended.borrow()
    }

    /// Waits for the end.
    pub async fn wait_end(&self) -> EndReason {
        let mut ended = self.inner.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(reason) => (*reason).unwrap_or(EndReason::Crashed),
            Err(_) => EndReason::Crashed,
        }
    }

    /// Waits until nothing of the session is left.
    pub async fn wait_gone(&self) {
        let mut ended = self.inner.ended.clone();
        // Its actor holds the other end until it is done.
        while ended.changed().await.is_ok() {}
    }

    /// Counts as activity until dropped: the session neither times out nor stands by meanwhile. One
    /// that stands by goes on before this answers.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.inner.uses.activity.send_modify(|count| *count += 1);
        Activity { awake: Some(self.stay_awake()), session: self.clone() }
    }

    /// Until dropped the session does not stand by, though it may time out.
    #[must_use]
    pub fn stay_awake(&self) -> StayAwake {
        self.inner.hold();
        StayAwake(self.clone())
    }

    /// Whether it stands by.
    #[must_use]
    pub fn stands_by(&self) -> bool {
        self.inner.uses.standing.lock().frozen
    }
}

/// Who uses a session.
pub(crate) struct Uses {
    /// How many use it as clients do.
    pub(crate) activity: watch::Sender<usize>,
    /// How many want it awake.
    pub(crate) holds: watch::Sender<usize>,
    standing: Mutex<Standing>,
    metrics: Metrics,
}

/// Whether it is frozen, decided by one at a time.
struct Standing {
    holds: usize,
    frozen: bool,
}

impl Uses {
    /// Nobody yet; the session may be `frozen`.
    pub(crate) fn new(metrics: Metrics, frozen: bool) -> Self {
        if frozen {
            metrics.froze();
        }
        Self {
            activity: watch::Sender::new(0),
            holds: watch::Sender::new(0),
            standing: Mutex::new(Standing { holds: 0, frozen }),
            metrics,
        }
    }
}

impl Inner {
    fn hold(&self) {
        let mut standing = self.uses.standing.lock();
        standing.holds += 1;
        if standing.frozen {
            let began = Instant::now();
            standing.frozen = self.instance.freeze(false);
            if !standing.frozen {
                self.uses.metrics.thawed(Some(began.elapsed()));
            }
        }
        self.uses.holds.send_replace(standing.holds);
    }

    fn release(&self) {
        let mut standing = self.uses.standing.lock();
        standing.holds -= 1;
        self.uses.holds.send_replace(standing.holds);
    }

    /// Freezes the session unless someone wants it awake; answers whether it is frozen.
    pub(crate) fn stand_by(&self) -> bool {
        let mut standing = self.uses.standing.lock();
        if standing.holds == 0 && !standing.frozen {
            standing.frozen = self.instance.freeze(true);
            if standing.frozen {
                self.uses.metrics.froze();
            }
        }
        standing.frozen
    }

    /// Pushes the memory of a session that stands by out to swap. One that is used meanwhile goes on at
    /// once, and takes back what it needs.
    pub(crate) async fn page_out(&self) {
        if !self.uses.standing.lock().frozen {
            return;
        }
        match self.instance.page_out().await {
            Ok(true) => self.uses.metrics.paged_out(),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(session = %self.id, %error, "the memory of a quiet session stays where it is");
            }
        }
    }
}

impl Drop for Uses {
    fn drop(&mut self) {
        if self.standing.get_mut().frozen {
            self.metrics.thawed(None);
        }
    }
}

/// Held while a client uses a session.
pub struct Activity {
    awake: Option<StayAwake>,
    session: LiveSession,
}

impl Activity {
    /// The client is there and wants nothing just now: the session may stand by, though it does not
    /// time out.
    pub fn rest(&mut self) {
        self.awake = None;
    }

    /// The client wants something again. A session that stands by goes on before this answers.
    pub fn wake(&mut self) {
        self.awake.get_or_insert_with(|| self.session.stay_awake());
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.session.inner.uses.activity.send_modify(|count| *count -= 1);
    }
}

/// Held while a session is not to stand by.
pub struct StayAwake(LiveSession);

impl Drop for StayAwake {
    fn drop(&mut self) {
        self.0.inner.release();
    }
}
