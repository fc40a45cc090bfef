//! From columns to rows and back.

use std::fmt::Display;

use browserd_api::browser::EndReason;
use browserd_api::{SessionId, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::error::DatabaseError;

use crate::{ApiKeyRow, SessionRow, StoreError};

/// A session's columns, in the order of `sessions::columns!`.
pub(super) type SessionColumns =
    (String, Option<String>, String, String, i64, Option<i64>, Option<String>, Option<String>);

/// A key's columns: id, name, hash, time.
pub(super) type ApiKeyColumns = (String, String, Vec<u8>, i64);

pub(super) fn session(columns: SessionColumns) -> Result<SessionRow, StoreError> {
    let (id, name, tags, config, created_at, ended_at, end_reason, end_detail) = columns;
    let corrupt = |what: &str, why: String| StoreError::Corrupt {
        id: id.clone(),
        detail: format!("{what}: {why}"),
    };
    let ended = match (ended_at, end_reason) {
        (None, None) => None,
        (Some(at), Some(reason)) => {
            let reason = reason_from_text(reason).map_err(|why| corrupt("end_reason", why))?;
            Some((Timestamp::from_micros(at), reason, end_detail))
        }
        _ => return Err(corrupt("ended_at", "a time without a reason, or the reverse".to_owned())),
    };
    Ok(SessionRow {
        name,
        tags: from_json(&tags).map_err(|why| corrupt("tags", why))?,
        config: from_json(&config).map_err(|why| corrupt("config", why))?,
        created_at: Timestamp::from_micros(created_at),
        ended,
        id: id.parse::<SessionId>().map_err(|why| corrupt("id", why.to_string()))?,
    })
}

pub(super) fn api_key(columns: ApiKeyColumns) -> Result<ApiKeyRow, StoreError> {
    let (id, name, hash, created_at) = columns;
    match hash.try_into() {
        Ok(hash) => {
            Ok(ApiKeyRow { id, name, hash, created_at: Timestamp::from_micros(created_at) })
        }
        Err(_) => Err(StoreError::Corrupt { id, detail: "hash: not 32 bytes".to_owned() }),
    }
}

/// Rows of a page for which one more was asked than it may have, and whether more follow.
pub(super) fn page<C, R>(
    columns: Vec<C>,
    limit: u32,
    row: impl Fn(C) -> Result<R, StoreError>,
) -> Result<(Vec<R>, bool), StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = columns.len() > limit;
    let rows = columns.into_iter().take(limit).map(row).collect::<Result<_, _>>()?;
    Ok((rows, has_more))
}

/// Whether a statement failed because a unique index has the value already.
pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    /// `SQLITE_CONSTRAINT_UNIQUE`; a second row with one id would be `..._PRIMARYKEY`.
    const UNIQUE: &str = "2067";
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == UNIQUE)
}

/// The form names are searched in.
pub(super) fn fold(name: &str) -> String {
    name.to_lowercase()
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|why| why.to_string())
}

/// JSON text of what is in row `id`.
pub(super) fn to_json<T: Serialize>(id: &impl Display, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|why| StoreError::Corrupt { id: id.to_string(), detail: why.to_string() })
}

/// The reason's wire form, which is also its form in the database.
pub(super) fn reason_text(reason: EndReason) -> Result<String, StoreError> {
    text_of(&reason)
}

/// The wire form of a reason.
pub(super) fn text_of(reason: &(impl Serialize + std::fmt::Debug)) -> Result<String, StoreError> {
    match serde_json::to_value(reason) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        other => Err(StoreError::Corrupt {
            id: "(new)".to_owned(),
            detail: format!("end reason {reason:?} has no text: {other:?}"),
        }),
    }
}

fn reason_from_text(text: String) -> Result<EndReason, String> {
    serde_json::from_value(serde_json::Value::String(text)).map_err(|why| why.to_string())
}
