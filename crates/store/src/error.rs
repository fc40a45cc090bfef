//! Why the store refuses.

use std::fmt;
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
    /// The database cannot be read or written just now; later it may be.
    #[error("{outage}: {detail}")]
    Unavailable {
        /// Why.
        outage: Outage,
        /// What the database said.
        detail: String,
    },
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(sqlx::Error),
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

/// What keeps a database from being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Another program has it locked, or too many writes wait already.
    Locked,
    /// The disk it is on is full.
    DiskFull,
    /// Its files cannot be read or written.
    Files,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Locked => "the database is busy or locked by another program",
            Self::DiskFull => "the disk with the database is full",
            Self::Files => "the files of the database cannot be read or written",
        })
    }
}

impl Outage {
    /// What of it an error is, if any. Codes: <https://www.sqlite.org/rescode.html>.
    fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::PoolTimedOut => Some(Self::Locked),
            // The connection was lost; the next one who writes gets another.
            sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => Some(Self::Files),
            sqlx::Error::Database(error) => Self::of_code(error.code()?.parse().ok()?),
            _ => None,
        }
    }

    /// The same of a code of SQLite's; its low byte says what kind it is.
    fn of_code(code: u32) -> Option<Self> {
        match code & 0xff {
            // SQLITE_BUSY, SQLITE_LOCKED
            5 | 6 => Some(Self::Locked),
            // SQLITE_FULL
            13 => Some(Self::DiskFull),
            // SQLITE_PERM, SQLITE_READONLY, SQLITE_IOERR, SQLITE_CANTOPEN
            3 | 8 | 10 | 14 => Some(Self::Files),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match Outage::of(&error) {
            Some(outage) => Self::Unavailable { outage, detail: error.to_string() },
            None => Self::Database(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        let of = |code| Outage::of_code(code);
        assert_eq!(of(5), Some(Outage::Locked));
        // SQLITE_BUSY_SNAPSHOT
        assert_eq!(of(517), Some(Outage::Locked));
        assert_eq!(of(13), Some(Outage::DiskFull));
        // SQLITE_IOERR_WRITE, SQLITE_READONLY_DBMOVED
        assert_eq!(of(778), Some(Outage::Files));
        assert_eq!(of(1032), Some(Outage::Files));
        // SQLITE_CONSTRAINT_UNIQUE, SQLITE_CORRUPT, SQLITE_NOTADB
        for code in [2067, 11, 26] {
            assert_eq!(of(code), None);
        }
        let error = StoreError::from(sqlx::Error::PoolTimedOut);
        assert!(matches!(error, StoreError::Unavailable { outage: Outage::Locked, .. }), "{error}");
        assert!(matches!(StoreError::from(sqlx::Error::RowNotFound), StoreError::Database(_)));
    }
}
