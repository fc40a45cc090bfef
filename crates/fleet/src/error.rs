//! Why the fleet refuses.

use browserd_api::{ApiError, ProxyId, SessionId};

use crate::{CommandError, Ended, Limit};

/// A refusal of the fleet; the server maps each to one error code.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// No session has this id or name, or it is not for clients yet.
    #[error("no active browser session has the id or name {0}")]
    NotFound(String),
    /// It has ended.
    #[error("the browser session {id} ended")]
    Ended {
        /// Its id.
        id: SessionId,
        /// When and why.
        end: Ended,
        /// What happened, in words.
        detail: Option<String>,
    },
    /// An active session has the name.
    #[error("an active browser session is already called {name} ({existing_id})")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        existing_id: String,
    },
    /// The host cannot hold another session.
    #[error("no capacity: {detail}")]
    NoCapacity {
        /// The limit that was hit.
        limit: Limit,
        /// The same in words.
        detail: String,
        /// Others are being started, and that is all there is to wait for.
        starting: bool,
    },
    /// The session did not become ready.
    #[error("the browser session did not start: {0}")]
    StartFailed(String),
    /// The session was ended on purpose before it was ready.
    #[error("the browser session was ended while it was being created")]
    EndedMeanwhile,
    /// The session's proxy was deleted while it was being created.
    #[error("the proxy {0} was deleted while the session was being created")]
    ProxyGone(ProxyId),
    /// Too many changes wait for the session already.
    #[error("too many changes wait for the session")]
    Busy,
    /// The session keeps the egress route it had.
    #[error("the egress route did not change: {0}")]
    NotRouted(CommandError),
    /// Someone else refused, in the words for the client.
    #[error("refused: {}", .0.body().message)]
    Refused(Box<ApiError>),
    /// What an earlier server left could not be looked at.
    #[error("cannot take stock of this host's sessions: {0}")]
    Unreachable(String),
    /// The fleet is shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] browserd_store::StoreError),
}
