//! Rows of API keys.

use sqlx::SqlitePool;

use super::SqliteStore;
use super::decode::{self, ApiKeyColumns};
use crate::{ApiKeyRow, StoreError};

const INSERT: &str = "\
    INSERT INTO api_keys (id, name, hash, created_at) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT (hash) DO NOTHING";

const ALL: &str = "SELECT id, name, hash, created_at FROM api_keys ORDER BY created_at, id";

pub(super) async fn insert(store: &SqliteStore, row: &ApiKeyRow) -> Result<(), StoreError> {
    let query = sqlx::query(INSERT)
        .bind(row.id.as_str())
        .bind(row.name.as_str())
        .bind(row.hash.as_slice())
        .bind(row.created_at.as_micros());
    let mut write = store.begin().await?;
    query.execute(&mut *write).await?;
    Ok(write.commit().await?)
}

pub(super) async fn all(readers: &SqlitePool) -> Result<Vec<ApiKeyRow>, StoreError> {
    let columns: Vec<ApiKeyColumns> = sqlx::query_as(ALL).fetch_all(readers).await?;
    columns.into_iter().map(decode::api_key).collect()
}
