//! The rows in one `SQLite` file.
//!
//! Owns connections and the file's permissions. One connection writes, so that writers queue here
//! and not in `SQLite`'s busy loop; a few others read, each on its own snapshot of the
//! write-ahead log, and are never held up by the writer.

mod api_keys;
mod decode;
mod profiles;
mod proxies;
mod replays;
mod schema;
mod sessions;

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use browserd_api::browser::EndReason;
use browserd_api::{ReplayId, SessionId, Timestamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::{
    ApiKeyRow, ProfileRows, ProxyRows, ReplayEnd, ReplayRow, SessionFilter, SessionPatch,
    SessionRow, Store, StoreError,
};

/// How long a write waits for another process (a backup, `sqlite3` in a shell) to let go.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that read.
const READERS: u32 = 4;

/// The store in one `SQLite` file, or in memory for tests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the database at `path`, makes it (mode 0600) if it is not there, and brings its schema
    /// up to date. A database written by a newer version is refused, not changed.
    ///
    /// The folder must exist.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, BUSY_TIMEOUT).await
    }

    async fn open_with(path: &Path, busy_timeout: Duration) -> Result<Self, StoreError> {
        make_private(path).map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            // With the write-ahead log a power loss may take the last rows, never the file.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(busy_timeout);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await?;
        schema::migrator().run(&writer).await?;
        // After the schema is there, so that no reader sees half of it.
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.pragma("query_only", "on"))
            .await?;
        Ok(Self { writer, readers })
    }

    /// A fresh database in memory, gone with the store.
    pub async fn in_memory() -> Result<Self, StoreError> {
        // Every connection to `:memory:` is a database of its own: there can only be one.
        let only = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(SqliteConnectOptions::new().in_memory(true).foreign_keys(true))
            .await?;
        schema::migrator().run(&only).await?;
        Ok(Self { writer: only.clone(), readers: only })
    }

    /// Waits for what is under way, folds the write-ahead log into the file and closes it. Without
    /// it nothing is lost either: the next `open` does the same.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Begins a write. `IMMEDIATE` takes the lock at once: a transaction that reads first and asks
    /// for the lock later can be refused in the middle, whatever the busy timeout.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// Makes the file, or takes its permissions back to 0600. `SQLite` gives its side files (-wal,
/// -shm) the mode of the database.
fn make_private(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.permissions().mode() & 0o777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[async_trait]
impl Store for SqliteStore {
    async fn insert_session(&self, row: &SessionRow) -> Result<(), StoreError> {
        sessions::insert(self, row).await
    }

    async fn update_session(
        &self,
        id: &SessionId,
        patch: SessionPatch,
    ) -> Result<SessionRow, StoreError> {
        sessions::update(self, id, patch).await
    }

    async fn end_session(
        &self,
        id: &SessionId,
        at: Timestamp,
        reason: EndReason,
        detail: Option<&str>,
    ) -> Result<(), StoreError> {
        sessions::end(self, id, at, reason, detail).await
    }

    async fn end_all_sessions(
        &self,
        at: Timestamp,
        reason: EndReason,
        detail: Option<&str>,
    ) -> Result<u64, StoreError> {
        sessions::end_all(self, at, reason, detail).await
    }

    async fn session(&self, id: &SessionId) -> Result<Option<SessionRow>, StoreError> {
        sessions::by_id(&self.readers, id).await
    }

    async fn session_by_name(&self, name: &str) -> Result<Option<SessionRow>, StoreError> {
        sessions::by_name(&self.readers, name).await
    }

    async fn list_sessions(
        &self,
        filter: &SessionFilter,
    ) -> Result<(Vec<SessionRow>, bool), StoreError> {
        sessions::list(&self.readers, filter).await
    }

    async fn insert_replay(&self, row: &ReplayRow) -> Result<(), StoreError> {
        replays::insert(self, row).await
    }

    async fn end_replay(&self, id: &ReplayId, end: &ReplayEnd) -> Result<(), StoreError> {
        replays::end(self, id, end).await
    }

    async fn replay(
        &self,
        session: &SessionId,
        id: &ReplayId,
    ) -> Result<Option<ReplayRow>, StoreError> {
        replays::by_id(&self.readers, session, id).await
    }

    async fn replays(&self, session: &SessionId) -> Result<Vec<ReplayRow>, StoreError> {
        replays::of_session(&self.readers, session).await
    }

    async fn open_replays(&self) -> Result<Vec<ReplayRow>, StoreError> {
        replays::open(&self.readers).await
    }

    async fn ended_replays(&self, most: u32) -> Result<(Vec<ReplayRow>, u64), StoreError> {
        replays::ended(&self.readers, most).await
    }

    async fn delete_replay(&self, id: &ReplayId) -> Result<(), StoreError> {
        replays::delete(self, id).await
    }

    fn proxies(&self) -> &dyn ProxyRows {
        self
    }

    fn profiles(&self) -> &dyn ProfileRows {
        self
    }

    async fn insert_api_key(&self, row: &ApiKeyRow) -> Result<(), StoreError> {
        api_keys::insert(self, row).await
    }

    async fn api_keys(&self) -> Result<Vec<ApiKeyRow>, StoreError> {
        api_keys::all(&self.readers).await
    }
}

#[cfg(test)]
mod tests;
