//! Recordings.

use browserd_api::replays::ReplayEndReason;
use browserd_api::{ReplayId, SessionId, Timestamp};
use sqlx::SqlitePool;

use super::SqliteStore;
use super::decode::text_of;
use crate::{ReplayEnd, ReplayRow, StoreError};

type Columns = (String, String, i64, Option<i64>, Option<String>, Option<i64>);

pub(super) async fn insert(store: &SqliteStore, row: &ReplayRow) -> Result<(), StoreError> {
    let mut writing = store.begin().await?;
    let end = row.end.as_ref();
    sqlx::query(
        "INSERT INTO replays (id, session_id, started_at, finished_at, end_reason, size)
         VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(row.id.as_str())
    .bind(row.session_id.as_str())
    .bind(row.started_at.as_micros())
    .bind(end.map(|end| end.finished_at.as_micros()))
    .bind(end.map(|end| text_of(&end.reason)).transpose()?)
    .bind(end.map(|end| size(end.size_bytes)))
    .execute(&mut *writing)
    .await?;
    Ok(writing.commit().await?)
}

pub(super) async fn end(
    store: &SqliteStore,
    id: &ReplayId,
    end: &ReplayEnd,
) -> Result<(), StoreError> {
    let mut writing = store.begin().await?;
    sqlx::query(
        "UPDATE replays SET finished_at = ?, end_reason = ?, size = ?
         WHERE id = ? AND finished_at IS NULL",
    )
    .bind(end.finished_at.as_micros())
    .bind(text_of(&end.reason)?)
    .bind(size(end.size_bytes))
    .bind(id.as_str())
    .execute(&mut *writing)
    .await?;
    Ok(writing.commit().await?)
}

pub(super) async fn by_id(
    pool: &SqlitePool,
    session: &SessionId,
    id: &ReplayId,
) -> Result<Option<ReplayRow>, StoreError> {
    let columns: Option<Columns> = sqlx::query_as(
        "SELECT id, session_id, started_at, finished_at, end_reason, size FROM replays
         WHERE id = ? AND session_id = ?",
    )
    .bind(id.as_str())
    .bind(session.as_str())
    .fetch_optional(pool)
    .await?;
    columns.map(row).transpose()
}

pub(super) async fn of_session(
    pool: &SqlitePool,
    session: &SessionId,
) -> Result<Vec<ReplayRow>, StoreError> {
    let columns: Vec<Columns> = sqlx::query_as(
        "SELECT id, session_id, started_at, finished_at, end_reason, size FROM replays
         WHERE session_id = ? ORDER BY started_at, id",
    )
    .bind(session.as_str())
    .fetch_all(pool)
    .await?;
    columns.into_iter().map(row).collect()
}

pub(super) async fn open(pool: &SqlitePool) -> Result<Vec<ReplayRow>, StoreError> {
    let columns: Vec<Columns> = sqlx::query_as(
        "SELECT id, session_id, started_at, finished_at, end_reason, size FROM replays
         WHERE finished_at IS NULL ORDER BY id",
    )
    .fetch_all(pool)
    .await?;
    columns.into_iter().map(row).collect()
}

pub(super) async fn ended(
    pool: &SqlitePool,
    most: u32,
) -> Result<(Vec<ReplayRow>, u64), StoreError> {
    let columns: Vec<Columns> = sqlx::query_as(
        "SELECT id, session_id, started_at, finished_at, end_reason, size FROM replays
         WHERE finished_at IS NOT NULL ORDER BY finished_at, id LIMIT ?",
    )
    .bind(most)
    .fetch_all(pool)
    .await?;
    let rows = columns.into_iter().map(row).collect::<Result<_, _>>()?;
    // TOTAL and not SUM: sizes are what they are said to be, and may be too many for an integer.
    let (bytes,): (f64,) =
        sqlx::query_as("SELECT TOTAL(size) FROM replays").fetch_one(pool).await?;
    Ok((rows, bytes as u64))
}

pub(super) async fn delete(store: &SqliteStore, id: &ReplayId) -> Result<(), StoreError> {
    let mut writing = store.begin().await?;
    sqlx::query("DELETE FROM replays WHERE id = ?")
        .bind(id.as_str())
        .execute(&mut *writing)
        .await?;
    Ok(writing.commit().await?)
}

fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn row(columns: Columns) -> Result<ReplayRow, StoreError> {
    let (id, session_id, started_at, finished_at, reason, size) = columns;
    let corrupt =
        |what: &str| StoreError::Corrupt { id: id.clone(), detail: format!("{what}: not valid") };
    let end = match (finished_at, reason, size) {
        (None, None, None) => None,
        (Some(at), Some(reason), Some(size)) => {
            let reason: ReplayEndReason = serde_json::from_value(serde_json::Value::String(reason))
                .map_err(|_| corrupt("end_reason"))?;
            let size_bytes = u64::try_from(size).map_err(|_| corrupt("size"))?;
            Some(ReplayEnd { finished_at: Timestamp::from_micros(at), reason, size_bytes })
        }
        _ => return Err(corrupt("finished_at")),
    };
    Ok(ReplayRow {
        session_id: session_id.parse().map_err(|_| corrupt("session_id"))?,
        started_at: Timestamp::from_micros(started_at),
        end,
        id: id.parse().map_err(|_| corrupt("id"))?,
    })
}
