//! Where sessions run: the seam between their life and their walls.

use std::fs::File;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use browserd_api::browser::{EndReason, SessionConfig};
use browserd_api::{ReplayId, SessionId};
use browserd_protocol::Route;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{BrowserStream, ByteStream};

/// Starts sessions. `local` runs shims on this host; tests use a fake. All pass [`crate::conformance`].
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Starts a session and answers when it is ready for clients. Events of its later life go to
    /// `events`; the last one is [`RuntimeEvent::Ended`], after which nothing of it is left.
    async fn start(
        &self,
        id: &SessionId,
        config: &SessionConfig,
        route: &Route,
        urgency: Urgency,
        events: mpsc::Sender<RuntimeEvent>,
    ) -> Result<Box<dyn Instance>, StartError>;

    /// Changes when the programs sessions run are replaced on disk: what was started before is not
    /// what would be started now.
    fn programs_stamp(&self) -> u64;

    /// What there is for more sessions just now. Called at every create: it does not wait.
    fn headroom(&self) -> Headroom;

    /// Clears away what an earlier server left behind; answers with the sessions it found.
    async fn reconcile(&self) -> io::Result<Vec<SessionId>>;

    /// The open file of a recording that was still inside a session when it ended; none: there is no
    /// such file. Nothing writes to it any more. It can be opened again until it is dropped.
    async fn open_rescued(
        &self,
        session: &SessionId,
        replay: &ReplayId,
    ) -> io::Result<Option<File>>;

    /// Removes the file of [`Self::open_rescued`]; one that is not there is no error.
    async fn drop_rescued(&self, session: &SessionId, replay: &ReplayId) -> io::Result<()>;

    /// Removes those files of all sessions that are not in `keep`.
    async fn drop_rescued_except(&self, keep: &[SessionId]) -> io::Result<()>;
}

/// One running session.
#[async_trait]
pub trait Instance: Send + Sync + 'static {
    /// A fresh connection to the guest's HTTP API.
    async fn dial_guest(&self) -> io::Result<ByteStream>;

    /// A fresh connection to Chromium's debugging port.
    async fn dial_browser(&self) -> io::Result<BrowserStream>;

    /// The open file of an offer the guest made ([`browserd_protocol::FileOffer`]), fit to be read
    /// here.
    async fn take_file(&self, ticket: u64) -> io::Result<File>;

    /// Makes an instance that was started [`Urgency::Ahead`] what `config` asks for. It differs
    /// from what it was started with only in what [`crate::Class::serves`] allows. Answers when that
    /// is `done`, or else at once: what is inside learns of it when it runs. Nothing leaves it by
    /// another way than `route` once it does.
    async fn assign(
        &self,
        config: &SessionConfig,
        route: &Route,
        done: bool,
    ) -> Result<(), CommandError>;

    /// Changes the egress route. When this answers, nothing takes another one any more, and connections
    /// that did are closed.
    async fn route(&self, route: Route) -> Result<(), CommandError>;

    /// Answers once what is inside has answered, which may not be frozen: it lives, and is not stuck.
    async fn ping(&self) -> Result<(), CommandError>;

    /// Stops everything inside, or lets it go on. The call itself does not wait and may be made under a
    /// lock: it asks, and what is asked is done in the order of the calls, whether anyone waits for it or
    /// not. Answers, once that is done, whether it is frozen then: not everywhere can a session be.
    fn freeze(&self, frozen: bool) -> BoxFuture<'static, bool>;

    /// Pushes the memory of a frozen instance out to the host's swap, as far as it goes. Answers
    /// whether there was somewhere to push it.
    async fn page_out(&self) -> io::Result<bool>;

    /// Asks for the end; [`RuntimeEvent::Ended`] follows once nothing is left. Does not wait: who asks
    /// may be the one who takes the events.
    fn end(&self, reason: EndReason);
}

/// What a host has left for more sessions, beyond what it keeps for itself. `u64::MAX` where it
/// cannot be known or does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    /// Bytes of memory.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Bytes of the disk that holds the sessions.
    pub disk: u64,
}

impl Headroom {
    /// Enough for anything.
    pub const PLENTY: Self = Self { memory: u64::MAX, processes: u64::MAX, disk: u64::MAX };
}

/// Whether a client waits for a session to start.
#[derive(Debug, Clone)]
pub enum Urgency {
    /// A client waits.
    Now,
    /// None does: it is started ahead of its client, with the least CPU weight there is until it is
    /// assigned. When the token is cancelled, the start fails.
    Ahead(CancellationToken),
}

/// What happens to a session while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeEvent {
    /// Chromium went away and is being started again.
    BrowserLost(String),
    /// Chromium is back.
    BrowserBack,
    /// Whether processes inside hold a wake lock.
    WakeLock(bool),
    /// The session is over and nothing of it is left.
    Ended {
        /// Why.
        reason: EndReason,
        /// What happened, in words.
        detail: Option<String>,
    },
}

/// What came of a command to a running instance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It was not carried out, and will not be.
    #[error("{0}")]
    Refused(String),
    /// Nothing was heard of it: it may have been carried out, or may yet be.
    #[error("no answer within {} s", .0.as_secs())]
    Unanswered(Duration),
    /// The session has ended.
    #[error("the session has ended")]
    Gone,
}

/// Why a session did not start.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub struct StartError {
    /// The reason to record.
    pub reason: EndReason,
    /// What happened, in words.
    pub detail: String,
}
