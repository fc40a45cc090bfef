//! Why the store refuses.

use std::io;
use std::path::PathBuf;

/// Why the store refuses.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another row of the project has the name.
    #[error("the name is taken by {existing}")]
    Taken {
        /// The id of the row that has it.
        existing: String,
    },
    /// Several rows of the project have the name.
    #[error("several have the name")]
    Ambiguous,
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
