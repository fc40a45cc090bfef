//! Rows of sessions.

use browserd_api::browser::{EndReason, Region, StatusFilter, Viewport};
use browserd_api::{SessionId, Timestamp};
use serde_json::json;
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::SqliteStore;
use super::decode::{self, SessionColumns, fold};
use crate::{SessionFilter, SessionPatch, SessionRow, StoreError};

macro_rules! columns {
    () => {
        "id, name, tags, config, created_at, ended_at, end_reason, end_detail"
    };
}

const INSERT: &str = "\
    INSERT INTO sessions (id, name, name_folded, tags, config, region, created_at,
                          ended_at, end_reason, end_detail)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

const UPDATE: &str = concat!(
    "UPDATE sessions
     SET name = CASE WHEN ?2 THEN ?3 ELSE name END,
         name_folded = CASE WHEN ?2 THEN ?4 ELSE name_folded END,
         tags = coalesce(?5, tags),
         config = CASE WHEN ?6 IS NULL THEN config ELSE json_patch(config, ?6) END
     WHERE id = ?1 AND ended_at IS NULL
     RETURNING ",
    columns!()
);

const RUNNING_NAME: &str = "SELECT id FROM sessions WHERE name = ?1 AND ended_at IS NULL";

const END: &str = "\
    UPDATE sessions SET ended_at = ?2, end_reason = ?3, end_detail = ?4
    WHERE id = ?1 AND ended_at IS NULL";

const END_ALL: &str = "\
    UPDATE sessions SET ended_at = ?1, end_reason = ?2, end_detail = ?3
    WHERE ended_at IS NULL";

const EXISTS: &str = "SELECT EXISTS (SELECT 1 FROM sessions WHERE id = ?1)";

const BY_ID: &str = concat!("SELECT ", columns!(), " FROM sessions WHERE id = ?1");

const BY_NAME: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM sessions WHERE name = ?1
     ORDER BY ended_at IS NOT NULL, ended_at DESC, created_at DESC, id DESC LIMIT 1"
);

/// One statement a status, so that each can walk its own index in order.
macro_rules! listing {
    ($status:literal) => {
        concat!(
            // A page of policies could have half a gigabyte.
            "SELECT id, name, tags, json_remove(config, '$.chrome_policy'), created_at, ended_at,
                    end_reason, end_detail
             FROM sessions WHERE ",
            $status,
            // instr and not LIKE: nothing in the text is a pattern.
            " AND (?1 IS NULL OR id = ?1 OR instr(name_folded, ?2) > 0
                   OR json_extract(config, '$.proxy') = ?1
                   OR json_extract(config, '$.profile.id') = ?1
                   OR json_extract(config, '$.profile.name') = ?1)
              AND (?3 IS NULL OR region = ?3)
              AND (?4 IS NULL OR NOT EXISTS (
                    SELECT 1 FROM json_each(?4) AS wanted
                    WHERE NOT EXISTS (
                        SELECT 1 FROM json_each(sessions.tags) AS present
                        WHERE present.key = wanted.key AND present.value = wanted.value)))
              ORDER BY created_at DESC, id DESC LIMIT ?5 OFFSET ?6"
        )
    };
}

const LIST_ACTIVE: &str = listing!("ended_at IS NULL");
const LIST_DELETED: &str = listing!("ended_at IS NOT NULL");
const LIST_ALL: &str = listing!("TRUE");

pub(super) async fn insert(store: &SqliteStore, row: &SessionRow) -> Result<(), StoreError> {
    let (ended_at, reason, detail) = match &row.ended {
        None => (None, None, None),
        Some((at, reason, detail)) => {
            (Some(at.as_micros()), Some(decode::reason_text(*reason)?), detail.as_deref())
        }
    };
    let query = sqlx::query(INSERT)
        .bind(row.id.as_str())
        .bind(row.name.as_deref())
        .bind(row.name.as_deref().map(fold))
        .bind(decode::to_json(&row.id, &row.tags)?)
        .bind(decode::to_json(&row.id, &row.config)?)
        .bind(row.config.region.as_str())
        .bind(row.created_at.as_micros())
        .bind(ended_at)
        .bind(reason)
        .bind(detail);
    let mut write = store.begin().await?;
    match query.execute(&mut *write).await {
        Ok(_) => Ok(write.commit().await?),
        Err(error) => Err(name_taken(&mut write, row.name.as_deref(), error).await?),
    }
}

pub(super) async fn update(
    store: &SqliteStore,
    id: &SessionId,
    patch: SessionPatch,
) -> Result<SessionRow, StoreError> {
    let config = config_patch(&patch);
    let SessionPatch { name, tags, .. } = patch;
    let new_name = name.as_ref().and_then(Option::as_deref);
    let query = sqlx::query_as::<_, SessionColumns>(UPDATE)
        .bind(id.as_str())
        .bind(name.is_some())
        .bind(new_name)
        .bind(new_name.map(fold))
        .bind(tags.map(|tags| decode::to_json(id, &tags)).transpose()?)
        .bind(config);
    let mut write = store.begin().await?;
    match query.fetch_optional(&mut *write).await {
        Ok(None) => Err(StoreError::NotFound),
        Ok(Some(columns)) => {
            let row = decode::session(columns)?;
            write.commit().await?;
            Ok(row)
        }
        Err(error) => Err(name_taken(&mut write, new_name, error).await?),
    }
}

/// What changes in `config`, as a JSON merge patch (RFC 7396), in which null takes a field away.
fn config_patch(patch: &SessionPatch) -> Option<String> {
    let mut config = serde_json::Map::new();
    if let Some(Viewport { width, height, refresh_rate }) = patch.viewport {
        let viewport = json!({ "width": width, "height": height, "refresh_rate": refresh_rate });
        config.insert("viewport".to_owned(), viewport);
    }
    let mut location = serde_json::Map::new();
    for (field, value) in [("timezone", &patch.timezone), ("locale", &patch.locale)] {
        if let Some(value) = value {
            location.insert(field.to_owned(), json!(value));
        }
    }
    if !location.is_empty() {
        config.insert("location".to_owned(), location.into());
    }
    if let Some(url) = &patch.start_url {
        config.insert("start_url".to_owned(), json!(url));
    }
    if let Some(seconds) = patch.timeout_seconds {
        config.insert("timeout_seconds".to_owned(), json!(seconds));
    }
    if let Some(profile) = &patch.profile {
        config.insert("profile".to_owned(), json!(profile));
    }
    if let Some(proxy) = &patch.proxy {
        config.insert("proxy".to_owned(), json!(proxy));
    }
    (!config.is_empty()).then(|| serde_json::Value::Object(config).to_string())
}

/// Turns a violation of the index on running names into the holder's id. The failed statement left
/// the transaction, and with it the lock, in place: the holder cannot have gone meanwhile.
async fn name_taken(
    write: &mut Transaction<'static, Sqlite>,
    name: Option<&str>,
    error: sqlx::Error,
) -> Result<StoreError, StoreError> {
    let (true, Some(name)) = (decode::is_taken(&error), name) else { return Ok(error.into()) };
    let holder: Option<String> =
        sqlx::query_scalar(RUNNING_NAME).bind(name).fetch_optional(&mut **write).await?;
    Ok(match holder.and_then(|id| id.parse().ok()) {
        Some(existing) => StoreError::NameTaken { existing },
        None => error.into(),
    })
}

pub(super) async fn end(
    store: &SqliteStore,
    id: &SessionId,
    at: Timestamp,
    reason: EndReason,
    detail: Option<&str>,
) -> Result<(), StoreError> {
    let mut write = store.begin().await?;
    let ended = sqlx::query(END)
        .bind(id.as_str())
        .bind(at.as_micros())
        .bind(decode::reason_text(reason)?)
        .bind(detail)
        .execute(&mut *write)
        .await?
        .rows_affected();
    if ended == 0 {
        let exists: bool =
            sqlx::query_scalar(EXISTS).bind(id.as_str()).fetch_one(&mut *write).await?;
        return if exists { Ok(()) } else { Err(StoreError::NotFound) };
    }
    Ok(write.commit().await?)
}

pub(super) async fn end_all(
    store: &SqliteStore,
    at: Timestamp,
    reason: EndReason,
    detail: Option<&str>,
) -> Result<u64, StoreError> {
    let query =
        sqlx::query(END_ALL).bind(at.as_micros()).bind(decode::reason_text(reason)?).bind(detail);
    let mut write = store.begin().await?;
    let ended = query.execute(&mut *write).await?.rows_affected();
    write.commit().await?;
    Ok(ended)
}

pub(super) async fn by_id(
    readers: &SqlitePool,
    id: &SessionId,
) -> Result<Option<SessionRow>, StoreError> {
    let columns: Option<SessionColumns> =
        sqlx::query_as(BY_ID).bind(id.as_str()).fetch_optional(readers).await?;
    columns.map(decode::session).transpose()
}

pub(super) async fn by_name(
    readers: &SqlitePool,
    name: &str,
) -> Result<Option<SessionRow>, StoreError> {
    let columns: Option<SessionColumns> =
        sqlx::query_as(BY_NAME).bind(name).fetch_optional(readers).await?;
    columns.map(decode::session).transpose()
}

pub(super) async fn list(
    readers: &SqlitePool,
    filter: &SessionFilter,
) -> Result<(Vec<SessionRow>, bool), StoreError> {
    let statement = match filter.status {
        StatusFilter::Active => LIST_ACTIVE,
        StatusFilter::Deleted => LIST_DELETED,
        StatusFilter::All => LIST_ALL,
    };
    let query = filter.query.as_deref().filter(|query| !query.is_empty());
    let tags = if filter.tags.is_empty() {
        None
    } else {
        Some(serde_json::to_string(&filter.tags).map_err(|why| StoreError::Corrupt {
            id: "(filter)".to_owned(),
            detail: why.to_string(),
        })?)
    };
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let columns: Vec<SessionColumns> = sqlx::query_as(statement)
        .bind(query)
        .bind(query.map(fold))
        .bind(filter.region.map(Region::as_str))
        .bind(tags)
        // One more than asked for tells whether more follow.
        .bind(i64::from(filter.limit) + 1)
        .bind(i64::from(filter.offset))
        .fetch_all(readers)
        .await?;
    let has_more = columns.len() > limit;
    // A row of another world must not hide all others; asked for by itself it says what is wrong.
    let readable = |columns| {
        decode::session(columns).inspect_err(|error| tracing::error!(%error, "left out of a list"))
    };
    let rows = columns.into_iter().take(limit).map(readable).filter_map(Result::ok).collect();
    Ok((rows, has_more))
}
