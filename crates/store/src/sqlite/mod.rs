//! The rows in one `SQLite` file.
//!
//! Owns connections and the file's permissions. One connection writes, so that writers queue here
//! and not in `SQLite`'s busy loop; a few others read, each on its own snapshot of the
//! write-ahead log, and are never held up by the writer.

mod schema;
mod statement;
mod writer;

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use writer::{LastWrite, Writer};

use crate::{Change, Columns, Condition, Select, Store, StoreError, Table};

/// How long a write waits for another process (a backup, `sqlite3` in a shell) to let go.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that read.
const READERS: u32 = 4;

/// The store in one `SQLite` file, or in memory for tests. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    /// The database is this one connection, and gone with it.
    in_memory: bool,
    last_write: Arc<LastWrite>,
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
        Ok(Self { writer, readers, in_memory: false, last_write: Arc::default() })
    }

    /// A fresh database in memory, gone with the store.
    pub async fn in_memory() -> Result<Self, StoreError> {
        Self::in_memory_with("").await
    }

    /// The same with more tables, which `schema` makes: for a resource that is being tried.
    pub async fn in_memory_with(schema: &'static str) -> Result<Self, StoreError> {
        // Every connection to `:memory:` is a database of its own: there can only be one.
        // Nor may it be tested before a use: a query given up in that moment takes the connection with it.
        let only = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(SqliteConnectOptions::new().in_memory(true).foreign_keys(true))
            .await?;
        schema::migrator().run(&only).await?;
        sqlx::raw_sql(schema).execute(&only).await?;
        let (writer, last_write) = (only.clone(), Arc::default());
        Ok(Self { writer, readers: only, in_memory: true, last_write })
    }

    /// Waits for what is under way, folds the write-ahead log into the file and closes it. Without
    /// it nothing is lost either: the next `open` does the same.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// The connection that writes, once nobody else has it.
    async fn writer(&self) -> Result<Writer, StoreError> {
        match self.writer.acquire().await {
            Ok(connection) => Ok(Writer::new(connection, !self.in_memory)),
            Err(error) => self.last_write.note(Err(error.into())),
        }
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
    async fn insert(&self, table: &'static Table, row: Columns) -> Result<(), StoreError> {
        let inserted = self.writer().await?.insert(table, &row).await;
        self.last_write.note(inserted)
    }

    async fn select(
        &self,
        table: &'static Table,
        select: Select,
    ) -> Result<Vec<Columns>, StoreError> {
        let mut statement = statement::select(table, &select);
        let found = statement.build().fetch_all(&self.readers).await?;
        found.iter().map(|row| statement::read(table, row)).collect()
    }

    async fn change(
        &self,
        table: &'static Table,
        wanted: Vec<Condition>,
        change: Change<'_>,
    ) -> Result<Option<Columns>, StoreError> {
        let changed = self.writer().await?.change(table, wanted, change).await;
        self.last_write.note(changed)
    }

    async fn remove(
        &self,
        table: &'static Table,
        wanted: Vec<Condition>,
    ) -> Result<Option<Columns>, StoreError> {
        let removed = self.writer().await?.remove(table, &wanted).await;
        self.last_write.note(removed)
    }

    async fn remove_some(
        &self,
        table: &'static Table,
        wanted: Vec<Condition>,
        most: u64,
    ) -> Result<u64, StoreError> {
        let removed = self.writer().await?.remove_some(table, &wanted, most).await;
        self.last_write.note(removed)
    }

    async fn check(&self) -> Result<(), StoreError> {
        if let Some(known) = self.last_write.known() {
            return known;
        }
        let written = self.writer().await?.touch().await;
        self.last_write.note(written)
    }

    async fn total(&self, table: &'static Table, column: &'static str) -> Result<u64, StoreError> {
        let mut statement = statement::total(table, column);
        // A float: sizes are what they are said to be, and may be too many for an integer.
        let total: f64 = statement.build_query_scalar().fetch_one(&self.readers).await?;
        Ok(total as u64)
    }
}

#[cfg(test)]
mod tests;
