//! Why the store refuses.

use std::io;
use std::path::PathBuf;

use browserd_api::SessionId;

/// Why the store refuses.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A running session has the name.
    #[error("the name is taken by {existing}")]
    NameTaken {
        /// Who has it.
        existing: SessionId,
    },
    /// Another row has the name.
    #[error("the name is taken")]
    Taken,
    /// No such row.
    #[error("no such row")]
    NotFound,
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The database file could not be made, or its permissions not be set.
    #[error("{}: {source}; check that the folder exists and belongs to the user browserd runs as", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A row holds what this version cannot read.
    #[error("row {id} cannot be read: {detail}")]
    Corrupt {
        /// Which.
        id: String,
        /// Why.
        detail: String,
    },
}
