//! The rows in one `SQLite` file.
//!
//! Owns connections and the file's permissions. One connection writes, so that writers queue here
//! and not in `SQLite`'s busy loop; a few others read, each on its own snapshot of the
//! write-ahead log, and are never held up by the writer.

mod schema;
mod statement;

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::error::DatabaseError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::{Change, Columns, Condition, Names, Select, Store, StoreError, Table};

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
    async fn insert(&self, table: &'static Table, row: Columns) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        let inserted = statement::insert(table, &row).build().execute(&mut *write).await;
        match inserted {
            Ok(_) => Ok(write.commit().await?),
            Err(error) => Err(taken(&mut write, table, &row, error).await?),
        }
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
        let mut write = self.begin().await?;
        let select = Select { wanted, limit: Some(1), ..Select::default() };
        let mut statement = statement::select(table, &select);
        let Some(old) = statement.build().fetch_optional(&mut *write).await? else {
            return Ok(None);
        };
        let old = statement::read(table, &old)?;
        let new = change(&old)?;
        let Some(mut statement) = statement::update(table, &old, &new) else {
            return Ok(Some(new));
        };
        let updated = statement.build().execute(&mut *write).await;
        match updated {
            Ok(_) => {
                write.commit().await?;
                Ok(Some(new))
            }
            Err(error) => Err(taken(&mut write, table, &new, error).await?),
        }
    }

    async fn change_all(
        &self,
        table: &'static Table,
        wanted: Vec<Condition>,
        set: Columns,
    ) -> Result<u64, StoreError> {
        let mut write = self.begin().await?;
        let mut statement = statement::update_all(table, &wanted, &set);
        let changed = statement.build().execute(&mut *write).await?.rows_affected();
        write.commit().await?;
        Ok(changed)
    }

    async fn remove(
        &self,
        table: &'static Table,
        wanted: Vec<Condition>,
    ) -> Result<Option<Columns>, StoreError> {
        let mut write = self.begin().await?;
        let mut statement = statement::delete(table, &wanted);
        let gone = statement.build().fetch_optional(&mut *write).await?;
        write.commit().await?;
        gone.map(|row| statement::read(table, &row)).transpose()
    }

    async fn total(&self, table: &'static Table, column: &'static str) -> Result<u64, StoreError> {
        let mut statement = statement::total(table, column);
        // A float: sizes are what they are said to be, and may be too many for an integer.
        let total: f64 = statement.build_query_scalar().fetch_one(&self.readers).await?;
        Ok(total as u64)
    }
}

/// Turns a violation of a unique index into who has the name. The failed statement left the
/// transaction, and with it the lock, in place: the holder cannot have gone meanwhile.
async fn taken(
    write: &mut Transaction<'static, Sqlite>,
    table: &'static Table,
    row: &Columns,
    error: sqlx::Error,
) -> Result<StoreError, StoreError> {
    /// `SQLITE_CONSTRAINT_UNIQUE`; a second row with one id would be `..._PRIMARYKEY`.
    const UNIQUE: &str = "2067";
    let code = error.as_database_error().and_then(DatabaseError::code);
    if code.is_none_or(|code| code != UNIQUE) {
        return Ok(error.into());
    }
    let mut wanted: Vec<_> =
        ["project_id", "name"].map(|column| Condition::Is(column, row.get(column).clone())).into();
    if table.names == Names::UniqueWhileOpen {
        wanted.extend(table.ended_at.map(Condition::Empty));
    }
    let select = Select { wanted, limit: Some(1), ..Select::default() };
    let mut statement = statement::select(table, &select);
    let holder = statement.build().fetch_optional(&mut **write).await?;
    Ok(match holder {
        Some(holder) => {
            StoreError::Taken { existing: statement::read(table, &holder)?.text("id")?.to_owned() }
        }
        None => error.into(),
    })
}

#[cfg(test)]
mod tests;
