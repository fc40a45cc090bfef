//! The one connection that writes, and how the last write went.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Sqlite, Transaction};

use super::statement;
use crate::{Change, Columns, Condition, Names, Outage, Select, StoreError, Table};

/// How often is looked whether a database that could not be written can be written again.
const TRIED_EVERY: Duration = Duration::from_secs(1);

/// The connection that writes, for one write.
///
/// It is replaced by a new one unless it is known to have no transaction open. SQLite ends a transaction by
/// itself when the disk is full or cannot be written; sqlx counts transactions by itself, does not notice,
/// and would refuse each further one.
pub(super) struct Writer {
    connection: PoolConnection<Sqlite>,
    /// Nothing is open in it.
    settled: bool,
    /// It may be replaced.
    replaceable: bool,
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.settled && self.replaceable {
            self.connection.close_on_drop();
        }
    }
}

impl Writer {
    pub(super) fn new(connection: PoolConnection<Sqlite>, replaceable: bool) -> Self {
        Self { connection, settled: true, replaceable }
    }

    /// Begins a write. `IMMEDIATE` takes the lock at once: a transaction that reads first and asks
    /// for the lock later can be refused in the middle, whatever the busy timeout.
    async fn begin(&mut self) -> Result<Transaction<'_, Sqlite>, StoreError> {
        self.settled = false;
        Ok(self.connection.begin_with("BEGIN IMMEDIATE").await?)
    }

    pub(super) async fn insert(
        &mut self,
        table: &'static Table,
        row: &Columns,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        let inserted = statement::insert(table, row).build().execute(&mut *write).await;
        match inserted {
            Ok(_) => write.commit().await?,
            Err(error) => {
                let error = taken(&mut write, table, row, error).await;
                self.settled = write.rollback().await.is_ok();
                return Err(error);
            }
        }
        self.settled = true;
        Ok(())
    }

    pub(super) async fn change(
        &mut self,
        table: &'static Table,
        wanted: Vec<Condition>,
        change: Change<'_>,
    ) -> Result<Option<Columns>, StoreError> {
        let mut write = self.begin().await?;
        let changed = change_in(&mut write, table, wanted, change).await;
        match changed {
            Ok(Some(_)) => write.commit().await?,
            Ok(None) | Err(_) => {
                self.settled = write.rollback().await.is_ok();
                return changed;
            }
        }
        self.settled = true;
        changed
    }

    pub(super) async fn remove(
        &mut self,
        table: &'static Table,
        wanted: &[Condition],
    ) -> Result<Option<Columns>, StoreError> {
        let mut write = self.begin().await?;
        let mut statement = statement::delete(table, wanted);
        let gone = statement.build().fetch_optional(&mut *write).await?;
        write.commit().await?;
        self.settled = true;
        gone.map(|row| statement::read(table, &row)).transpose()
    }

    pub(super) async fn remove_some(
        &mut self,
        table: &'static Table,
        wanted: &[Condition],
        most: u64,
    ) -> Result<u64, StoreError> {
        let mut write = self.begin().await?;
        let mut statement = statement::delete_some(table, wanted, most);
        let gone = statement.build().execute(&mut *write).await?.rows_affected();
        write.commit().await?;
        self.settled = true;
        Ok(gone)
    }

    /// Writes something that means nothing: a number in the file's head that is left to applications.
    pub(super) async fn touch(&mut self) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query("PRAGMA user_version = 0").execute(&mut *write).await?;
        write.commit().await?;
        self.settled = true;
        Ok(())
    }
}

/// Reads the row and writes what becomes of it; none when it is not there.
async fn change_in(
    write: &mut Transaction<'_, Sqlite>,
    table: &'static Table,
    wanted: Vec<Condition>,
    change: Change<'_>,
) -> Result<Option<Columns>, StoreError> {
    let select = Select { wanted, limit: Some(1), ..Select::default() };
    let mut statement = statement::select(table, &select);
    let Some(old) = statement.build().fetch_optional(&mut **write).await? else {
        return Ok(None);
    };
    let old = statement::read(table, &old)?;
    let new = change(&old)?;
    let Some(mut statement) = statement::update(table, &old, &new) else {
        return Ok(Some(new));
    };
    let updated = statement.build().execute(&mut **write).await;
    match updated {
        Ok(_) => Ok(Some(new)),
        Err(error) => Err(taken(write, table, &new, error).await),
    }
}

/// Turns a violation of a unique index into who has the name. The failed statement left the
/// transaction, and with it the lock, in place: the holder cannot have gone meanwhile.
async fn taken(
    write: &mut Transaction<'_, Sqlite>,
    table: &'static Table,
    row: &Columns,
    error: sqlx::Error,
) -> StoreError {
    /// `SQLITE_CONSTRAINT_UNIQUE`; a second row with one id would be `..._PRIMARYKEY`.
    const UNIQUE: &str = "2067";
    let code = error.as_database_error().and_then(DatabaseError::code);
    if code.is_none_or(|code| code != UNIQUE) {
        return error.into();
    }
    let mut wanted: Vec<_> =
        ["project_id", "name"].map(|column| Condition::Is(column, row.get(column).clone())).into();
    if table.names == Names::UniqueWhileOpen {
        wanted.extend(table.ended_at.map(Condition::Empty));
    }
    let select = Select { wanted, limit: Some(1), ..Select::default() };
    let mut statement = statement::select(table, &select);
    let found = async {
        let holder = statement.build().fetch_optional(&mut **write).await?;
        let Some(holder) = holder else { return Ok(None) };
        Ok::<_, StoreError>(Some(statement::read(table, &holder)?.text("id")?.to_owned()))
    };
    match found.await {
        Ok(Some(existing)) => StoreError::Taken { existing },
        Ok(None) => error.into(),
        Err(other) => other,
    }
}

/// How the last write went.
#[derive(Debug, Default)]
pub(super) struct LastWrite(Mutex<Option<Failed>>);

#[derive(Debug, Clone)]
struct Failed {
    outage: Outage,
    detail: String,
    /// When that was found.
    at: Instant,
}

impl LastWrite {
    /// Notes what came of a write, and hands it on.
    pub(super) fn note<T>(&self, written: Result<T, StoreError>) -> Result<T, StoreError> {
        let failed = match &written {
            Err(StoreError::Unavailable { outage, detail }) => {
                Some(Failed { outage: *outage, detail: detail.clone(), at: Instant::now() })
            }
            // A refusal for what is in the rows is no failure.
            _ => None,
        };
        let mut last = self.0.lock();
        match (&*last, &failed) {
            (None, Some(failed)) => {
                tracing::error!(outage = %failed.outage, detail = failed.detail, "rows cannot be written");
            }
            (Some(_), None) => tracing::info!("rows can be written again"),
            _ => {}
        }
        *last = failed;
        written
    }

    /// How the database is, as far as that is known; none: somebody should try, and who asks is the one.
    pub(super) fn known(&self) -> Option<Result<(), StoreError>> {
        let mut last = self.0.lock();
        let Some(failed) = &mut *last else { return Some(Ok(())) };
        if failed.at.elapsed() >= TRIED_EVERY {
            failed.at = Instant::now();
            return None;
        }
        let Failed { outage, detail, .. } = failed.clone();
        Some(Err(StoreError::Unavailable { outage, detail }))
    }
}
