//! A thin client for the Chrome `DevTools` Protocol over Chromium's debugging pipe.
//!
//! ```text
//!   Cdp::call ──▶ queue ──▶ writer task ── JSON, NUL ──▶ fd 3 of Chromium
//!      ▲                                                    │
//!      └── pending calls by id ◀── reader task ◀─ JSON, NUL ┘ fd 4
//!                                     └──▶ events, to whoever listens
//! ```
//!
//! What Chromium sends is not trusted: messages have a largest size, and what does not parse
//! closes the connection. Results stay raw until their caller parses them.

mod methods;
mod profile;
mod targets;
mod wire;

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::AbortHandle;

pub use methods::{Bounds, PageTarget, Version};
pub use targets::{TargetEvent, TargetState};

/// Largest message taken from Chromium, bytes; a longer one closes the pipe. A screenshot of a page
/// many screens long has tens of MiB. Memory is taken as bytes arrive, not for what is allowed.
pub const MESSAGE_LIMIT: usize = 256 << 20;
/// Calls waiting to be written.
const QUEUE: usize = 64;
/// Calls waiting for their answer.
const PENDING_LIMIT: usize = 1024;
/// Events kept for a slow listener; then it misses some and is told so.
const EVENT_BACKLOG: usize = 256;
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CdpError {
    /// Chromium refused.
    #[error("{method}: Chromium answered {message} ({code})")]
    Refused {
        /// The method.
        method: &'static str,
        /// Chromium's code.
        code: i64,
        /// Chromium's words.
        message: String,
    },
    /// The connection is gone, most likely with Chromium.
    #[error("{method}: the pipe to Chromium is closed")]
    Closed {
        /// The method.
        method: &'static str,
    },
    /// No answer in time.
    #[error("{method}: Chromium did not answer within {} s", ANSWER_WITHIN.as_secs())]
    TimedOut {
        /// The method.
        method: &'static str,
    },
    /// Too many calls wait for their answers.
    #[error("{method}: {PENDING_LIMIT} calls already wait for Chromium")]
    Busy {
        /// The method.
        method: &'static str,
    },
    /// The parameters or the result are not what the method has.
    #[error("{method}: {source}")]
    Shape {
        /// The method.
        method: &'static str,
        /// What does not fit.
        source: serde_json::Error,
    },
}

/// Something Chromium says unasked.
#[derive(Debug)]
pub struct Event {
    /// Its name, e.g. `Target.targetCreated`.
    pub method: String,
    /// The session it belongs to; none: the browser itself.
    pub session: Option<String>,
    /// Its parameters, not parsed.
    pub params: Option<Box<RawValue>>,
}

/// Id of a session attached to a target.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub(crate) String);

impl SessionId {
    /// The id as events have it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

type Answer = Result<Box<RawValue>, wire::RemoteError>;
type Pending = Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>;

/// A connection to one Chromium. Cheap to clone; closed when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Cdp {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    next_id: AtomicU64,
    queue: mpsc::Sender<Vec<u8>>,
    closed: watch::Receiver<bool>,
    tasks: [AbortHandle; 2],
}

#[derive(Debug)]
struct Shared {
    /// None once the connection is closed.
    pending: Pending,
    events: broadcast::Sender<Arc<Event>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Takes a pending call away when its caller goes.
struct Waiting<'a> {
    pending: &'a Pending,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(pending) = self.pending.lock().as_mut() {
            pending.remove(&self.id);
        }
    }
}

impl Cdp {
    /// Speaks over our ends of the two pipes: `commands` is what Chromium has as fd 3, `answers`
    /// what it has as fd 4. Must be called inside a Tokio runtime.
    pub fn over(commands: OwnedFd, answers: OwnedFd) -> io::Result<Self> {
        let commands = pipe::Sender::from_owned_fd(commands)?;
        let answers = pipe::Receiver::from_owned_fd(answers)?;
        let shared = Arc::new(Shared {
            pending: Mutex::new(Some(HashMap::new())),
            events: broadcast::Sender::new(EVENT_BACKLOG),
        });
        let (queue, messages) = mpsc::channel(QUEUE);
        let (closing, closed) = watch::channel(false);
        let closing = Arc::new(closing);
        let reader = tokio::spawn(read(answers, Arc::clone(&shared), Arc::clone(&closing)));
        let writer = tokio::spawn(write(commands, messages, Arc::clone(&shared), closing));
        let tasks = [reader.abort_handle(), writer.abort_handle()];
        let next_id = AtomicU64::new(1);
        Ok(Self { inner: Arc::new(Inner { shared, next_id, queue, closed, tasks }) })
    }

    /// Calls a method of the browser, or with a session of a page.
    pub async fn call<P: Serialize, R: DeserializeOwned>(
        &self,
        session: Option<&SessionId>,
        method: &'static str,
        params: P,
    ) -> Result<R, CdpError> {
        let result = self.call_raw(session, method, params).await?;
        serde_json::from_str(result.get()).map_err(|source| CdpError::Shape { method, source })
    }

    /// As [`Cdp::call`], with the result as it came.
    pub async fn call_raw<P: Serialize>(
        &self,
        session: Option<&SessionId>,
        method: &'static str,
        params: P,
    ) -> Result<Box<RawValue>, CdpError> {
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        let session_id = session.map(|session| session.0.as_str());
        let command = wire::Command { id, method, params, session_id };
        let mut message =
            serde_json::to_vec(&command).map_err(|source| CdpError::Shape { method, source })?;
        message.push(0);
        let (answer, answered) = oneshot::channel();
        {
            let mut pending = self.inner.shared.pending.lock();
            let pending = pending.as_mut().ok_or(CdpError::Closed { method })?;
            if pending.len() >= PENDING_LIMIT {
                return Err(CdpError::Busy { method });
            }
            pending.insert(id, answer);
        }
        let _waiting = Waiting { pending: &self.inner.shared.pending, id };
        let exchange = async {
            self.inner.queue.send(message).await.map_err(|_| CdpError::Closed { method })?;
            answered.await.map_err(|_| CdpError::Closed { method })
        };
        let answer = tokio::time::timeout(ANSWER_WITHIN, exchange)
            .await
            .map_err(|_| CdpError::TimedOut { method })??;
        answer.map_err(|error| CdpError::Refused {
            method,
            code: error.code,
            message: error.message,
        })
    }

    /// Events from now on, of every session and of the browser itself.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.inner.shared.events.subscribe()
    }

    /// Waits until the connection is closed.
    pub async fn closed(&self) {
        let mut closed = self.inner.closed.clone();
        // An error means that both tasks are gone, which is the same.
        let _ = closed.wait_for(|closed| *closed).await;
    }
}

impl Shared {
    /// Fails every waiting call and every later one.
    fn close(&self) {
        self.pending.lock().take();
    }

    fn take(&self, message: &[u8]) -> Result<(), serde_json::Error> {
        let message: wire::Incoming<'_> = serde_json::from_slice(message)?;
        match (message.id, message.method) {
            (Some(id), _) => {
                let waiting = self.pending.lock().as_mut().and_then(|pending| pending.remove(&id));
                let answer = match message.error {
                    Some(error) => Err(error),
                    None => Ok(message.result.map_or_else(wire::empty, ToOwned::to_owned)),
                };
                if let Some(waiting) = waiting {
                    // The caller may have gone meanwhile.
                    let _ = waiting.send(answer);
                }
            }
            (None, Some(method)) if self.events.receiver_count() > 0 => {
                let event = Event {
                    method: method.into_owned(),
                    session: message.session_id.map(std::borrow::Cow::into_owned),
                    params: message.params.map(ToOwned::to_owned),
                };
                let _ = self.events.send(Arc::new(event));
            }
            (None, Some(_)) => {}
            (None, None) => match message.error {
                Some(error) => tracing::warn!(
                    error.code,
                    error.message,
                    "Chromium could not read a message of ours on its DevTools pipe"
                ),
                None => tracing::warn!(
                    "Chromium sent a DevTools message that is neither an answer nor an event; it is ignored"
                ),
            },
        }
        Ok(())
    }
}

async fn read(answers: pipe::Receiver, shared: Arc<Shared>, closing: Arc<watch::Sender<bool>>) {
    let mut answers = BufReader::with_capacity(64 << 10, answers);
    let mut message = Vec::new();
    loop {
        match next_message(&mut answers, &mut message).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                tracing::warn!(%error, "Chromium's DevTools pipe cannot be read; the connection to it is given up");
                break;
            }
        }
        if let Err(error) = shared.take(&message) {
            tracing::warn!(%error, "Chromium sent an unreadable DevTools message; the connection to it is given up");
            break;
        }
    }
    shared.close();
    closing.send_replace(true);
}

/// Reads one message without its NUL; `false` at the end.
async fn next_message(
    from: &mut BufReader<pipe::Receiver>,
    message: &mut Vec<u8>,
) -> io::Result<bool> {
    message.clear();
    // A large message must not hold its memory for good.
    message.shrink_to(64 << 10);
    from.take(MESSAGE_LIMIT as u64 + 1).read_until(0, message).await?;
    match message.pop() {
        Some(0) => Ok(true),
        Some(_) if message.len() >= MESSAGE_LIMIT => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "a message is over the limit"))
        }
        _ => Ok(false),
    }
}

async fn write(
    mut commands: pipe::Sender,
    mut messages: mpsc::Receiver<Vec<u8>>,
    shared: Arc<Shared>,
    closing: Arc<watch::Sender<bool>>,
) {
    while let Some(message) = messages.recv().await {
        if let Err(error) = commands.write_all(&message).await {
            tracing::debug!(%error, "the pipe to Chromium failed");
            break;
        }
    }
    shared.close();
    closing.send_replace(true);
}

#[cfg(test)]
mod tests;
