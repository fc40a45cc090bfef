//! What must survive a restart: rows of sessions, recordings, proxies, profiles and keys, and files
//! ([`Blobs`]).
//!
//! Owns the schema, the [`Store`] trait with its `SQLite` implementation, the [`Blobs`] trait with
//! its implementation on disk, and the conformance suites every implementation passes. Decides
//! nothing about sessions.
//!
//! ```text
//!            Store (trait)
//!              │
//!          SqliteStore ── writer: one connection, every write in BEGIN IMMEDIATE
//!              │       └─ readers: a few connections, each on its own WAL snapshot
//!              ▼
//!      browserd.db (0600), -wal, -shm
//! ```

mod api_key;
mod blobs;
pub mod conformance;
mod error;
mod rows;
mod sqlite;

use async_trait::async_trait;
use browserd_api::browser::EndReason;
use browserd_api::{ProfileId, ProxyId, ReplayId, SessionId, Timestamp};

pub use api_key::hash_api_key;
pub use blobs::{BlobKey, BlobReader, Blobs, DiskBlobs, InvalidKey};
pub use error::StoreError;
pub use rows::{
    ApiKeyRow, ListFilter, ProfileRow, ProxyRow, ReplayEnd, ReplayRow, Saved, SessionFilter,
    SessionPatch, SessionRow,
};
pub use sqlite::SqliteStore;

/// The rows, wherever they are kept.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Adds a session's row; `NameTaken` when a running session has its name.
    async fn insert_session(&self, row: &SessionRow) -> Result<(), StoreError>;
    /// Changes a running session; answers the row as it is then.
    async fn update_session(
        &self,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<SessionRow, StoreError>;
    /// Records the end, once: a second end changes nothing.
    async fn end_session(
        &self,
        id: &SessionId,
        at: Timestamp,
        reason: EndReason,
        detail: Option<&str>,
    ) -> Result<(), StoreError>;
    /// Ends every row that has not ended; answers how many.
    async fn end_all_sessions(
        &self,
        at: Timestamp,
        reason: EndReason,
        detail: Option<&str>,
    ) -> Result<u64, StoreError>;
    /// A row by id.
    async fn session(&self, id: &SessionId) -> Result<Option<SessionRow>, StoreError>;
    /// The newest row with the name (running first, then the last ended).
    async fn session_by_name(&self, name: &str) -> Result<Option<SessionRow>, StoreError>;
    /// Rows, newest first and without their `chrome_policy`, and whether more follow. Rows that
    /// cannot be read are left out.
    async fn list_sessions(
        &self,
        filter: &SessionFilter,
    ) -> Result<(Vec<SessionRow>, bool), StoreError>;
    /// Adds a recording.
    async fn insert_replay(&self, row: &ReplayRow) -> Result<(), StoreError>;
    /// Records a recording's end, once: a second end changes nothing.
    async fn end_replay(&self, id: &ReplayId, end: &ReplayEnd) -> Result<(), StoreError>;
    /// A recording of a session.
    async fn replay(
        &self,
        session: &SessionId,
        id: &ReplayId,
    ) -> Result<Option<ReplayRow>, StoreError>;
    /// All recordings of a session, the oldest first.
    async fn replays(&self, session: &SessionId) -> Result<Vec<ReplayRow>, StoreError>;
    /// Recordings of all sessions that have not ended.
    async fn open_replays(&self) -> Result<Vec<ReplayRow>, StoreError>;
    /// At most `most` recordings of all sessions that have ended, the first to end in front, and how
    /// many bytes all that have ended take.
    async fn ended_replays(&self, most: u32) -> Result<(Vec<ReplayRow>, u64), StoreError>;
    /// Takes a recording's row away; one that is not there is no error.
    async fn delete_replay(&self, id: &ReplayId) -> Result<(), StoreError>;
    /// Profiles.
    fn profiles(&self) -> &dyn ProfileRows;
    /// Upstream proxies.
    fn proxies(&self) -> &dyn ProxyRows;
    /// Adds a key; adding the same hash again changes nothing.
    async fn insert_api_key(&self, row: &ApiKeyRow) -> Result<(), StoreError>;
    /// All keys (few; the server keeps their hashes in memory).
    async fn api_keys(&self) -> Result<Vec<ApiKeyRow>, StoreError>;
}

/// The rows of upstream proxies.
#[async_trait]
pub trait ProxyRows: Send + Sync {
    /// Adds one.
    async fn insert(&self, row: &ProxyRow) -> Result<(), StoreError>;
    /// One by id.
    async fn by_id(&self, id: &ProxyId) -> Result<Option<ProxyRow>, StoreError>;
    /// Rows, newest first, and whether more follow.
    async fn list(&self, filter: &ListFilter) -> Result<(Vec<ProxyRow>, bool), StoreError>;
    /// Gives it another name, or none; answers the row as it is then.
    async fn rename(&self, id: &ProxyId, name: Option<&str>) -> Result<ProxyRow, StoreError>;
    /// Records how a check went; answers the row as it is then.
    async fn checked(
        &self,
        id: &ProxyId,
        at: Timestamp,
        available: bool,
    ) -> Result<ProxyRow, StoreError>;
    /// Takes it away.
    async fn delete(&self, id: &ProxyId) -> Result<(), StoreError>;
}

/// The rows of profiles.
#[async_trait]
pub trait ProfileRows: Send + Sync {
    /// Adds one with nothing saved; `Taken` when another one has its name.
    async fn insert(&self, row: &ProfileRow) -> Result<(), StoreError>;
    /// One by id.
    async fn by_id(&self, id: &ProfileId) -> Result<Option<ProfileRow>, StoreError>;
    /// One by its exact name.
    async fn by_name(&self, name: &str) -> Result<Option<ProfileRow>, StoreError>;
    /// Rows, newest first, and whether more follow.
    async fn list(&self, filter: &ListFilter) -> Result<(Vec<ProfileRow>, bool), StoreError>;
    /// Gives it another name; `Taken` when another one has it. Answers the row as it is then.
    async fn rename(&self, id: &ProfileId, name: &str) -> Result<ProfileRow, StoreError>;
    /// Records that a session took it; answers the row as it is then.
    async fn used(&self, id: &ProfileId, at: Timestamp) -> Result<ProfileRow, StoreError>;
    /// Records what is saved from now on; answers what was before.
    async fn saved(
        &self,
        id: &ProfileId,
        at: Timestamp,
        saved: &Saved,
    ) -> Result<Option<Saved>, StoreError>;
    /// Takes it away; answers what was saved.
    async fn delete(&self, id: &ProfileId) -> Result<Option<Saved>, StoreError>;
}
