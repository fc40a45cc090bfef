//! A running session, as request handlers hold it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use browserd_api::SessionId;
use browserd_api::browser::EndReason;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// A fresh connection to Chromium's debugging port inside the session.
#[derive(Debug)]
pub struct BrowserSocket {
    /// The connected socket; it lives in the session's network namespace.
    pub stream: TcpStream,
    /// `host:port` for the `Host` header.
    pub host: String,
    /// Path of the browser endpoint, `/devtools/browser/<uuid>`.
    pub browser_path: String,
}

/// A running session. Cheap to clone.
#[derive(Clone)]
pub struct LiveSession {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) id: SessionId,
    pub(crate) guest_socket: std::path::PathBuf,
    pub(crate) instance: Box<dyn crate::Instance>,
    pub(crate) ended: watch::Receiver<Option<EndReason>>,
    pub(crate) activity: ActivityCounter,
}

impl LiveSession {
    /// Id.
    #[must_use]
    pub fn id(&self) -> &SessionId {
        &self.inner.id
    }

    /// The unix socket of the guest's HTTP API.
    #[must_use]
    pub fn guest_socket(&self) -> &Path {
        &self.inner.guest_socket
    }

    /// A fresh connection to Chromium's debugging port.
    pub async fn browser_socket(&self) -> io::Result<BrowserSocket> {
        self.inner.instance.browser_socket().await
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
        // Its owner holds the other end until it is done.
        while ended.changed().await.is_ok() {}
    }

    /// Counts as activity until dropped: the session does not time out meanwhile.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.inner.activity.begin()
    }
}

/// How many things use a session, and since when nothing has.
#[derive(Debug, Clone)]
pub(crate) struct ActivityCounter(pub(crate) Arc<watch::Sender<usize>>);

impl ActivityCounter {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    fn begin(&self) -> Activity {
        self.0.send_modify(|count| *count += 1);
        Activity(self.clone())
    }
}

/// Held while a client uses a session.
#[derive(Debug)]
pub struct Activity(ActivityCounter);

impl Drop for Activity {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}
