//! The schema's history.
//!
//! The files are listed by hand instead of through `sqlx::migrate!`: the macro would build `SQLite`
//! a second time for the compiler's own use, only to read a folder. A test keeps list and folder
//! equal.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Number, title and text of every migration, oldest first.
pub(super) const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "sessions_and_keys", include_str!("../../migrations/sqlite/0001_sessions_and_keys.sql")),
    (2, "replays", include_str!("../../migrations/sqlite/0002_replays.sql")),
    (3, "proxies", include_str!("../../migrations/sqlite/0003_proxies.sql")),
    (4, "profiles", include_str!("../../migrations/sqlite/0004_profiles.sql")),
    (5, "projects", include_str!("../../migrations/sqlite/0005_projects.sql")),
    (6, "retention", include_str!("../../migrations/sqlite/0006_retention.sql")),
];

/// Brings a database up to date; refuses one whose history is not a beginning of ours.
pub(super) fn migrator() -> Migrator {
    let migration = |&(version, title, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, title.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.iter().map(migration).collect())
}
