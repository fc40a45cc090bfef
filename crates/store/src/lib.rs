//! What must survive a restart: rows of sessions, recordings, proxies, profiles and keys, and files
//! ([`Blobs`]).
//!
//! Owns the schema, the rows ([`Rows`]) and the [`Store`] trait below them with its `SQLite`
//! implementation, the [`Blobs`] trait with its implementation on disk, and the conformance suites every
//! implementation passes. Decides nothing about sessions.
//!
//! ```text
//!      Rows<T> of a project
//!              │
//!            Store (trait): the few statements rows are made of
//!              │
//!          SqliteStore ── writer: one connection, every write in BEGIN IMMEDIATE, replaced after an error
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

pub use api_key::hash_api_key;
pub use blobs::{BlobKey, BlobReader, Blobs, DiskBlobs, InvalidKey};
pub use error::{Outage, StoreError};
pub use rows::{
    ApiKeyRow, Change, Column, Columns, Condition, Everywhere, Filter, Kind, Names, Order,
    ProfileRow, ProxyRow, ReplayEnd, ReplayRow, Row, Rows, Saved, Searched, Select, SessionPatch,
    SessionRow, Table, Value, fold,
};
pub use sqlite::SqliteStore;

/// A database: the few statements that [`Rows`] are made of. Whatever it is asked is about one table, and
/// either happens as a whole or not at all.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Adds a row; `Taken` when another row of its project has its name.
    async fn insert(&self, table: &'static Table, row: Columns) -> Result<(), StoreError>;

    /// Finds rows.
    async fn select(
        &self,
        table: &'static Table,
        select: Select,
    ) -> Result<Vec<Columns>, StoreError>;

    /// Reads the one row that is wanted and writes what becomes of it, with no other write in between;
    /// answers the row as it is then, or none when it is not there. `Taken` as in [`Self::insert`].
    async fn change(
        &self,
        table: &'static Table,
        wanted: Vec<Condition>,
        change: Change<'_>,
    ) -> Result<Option<Columns>, StoreError>;

    /// Takes the one row that is wanted away; answers it, or none when it is not there.
    async fn remove(
        &self,
        table: &'static Table,
        wanted: Vec<Condition>,
    ) -> Result<Option<Columns>, StoreError>;

    /// Takes at most `most` of the rows that are wanted away, unread; answers how many.
    async fn remove_some(
        &self,
        table: &'static Table,
        wanted: Vec<Condition>,
        most: u64,
    ) -> Result<u64, StoreError>;

    /// Whether rows can be written: as the last write found it, and after one that could not be made, as
    /// another try finds it.
    async fn check(&self) -> Result<(), StoreError>;

    /// The sum of a column.
    async fn total(&self, table: &'static Table, column: &'static str) -> Result<u64, StoreError>;
}
