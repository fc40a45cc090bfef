//! Profiles.

use async_trait::async_trait;
use browserd_api::{ProfileId, Timestamp};

use super::SqliteStore;
use super::decode::{self, fold};
use crate::{ListFilter, ProfileRow, ProfileRows, Saved, StoreError};

/// Id, name, when it was made, saved and used, and what is saved.
type Columns = (String, Option<String>, i64, Option<i64>, Option<i64>, Option<String>, Option<i64>);

macro_rules! columns {
    () => {
        "id, name, created_at, updated_at, last_used_at, version, size"
    };
}

#[async_trait]
impl ProfileRows for SqliteStore {
    async fn insert(&self, row: &ProfileRow) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO profiles (id, name, name_folded, created_at) VALUES (?, ?, ?, ?)",
        )
        .bind(row.id.as_str())
        .bind(row.name.as_deref())
        .bind(row.name.as_deref().map(fold))
        .bind(row.created_at.as_micros());
        let mut writing = self.begin().await?;
        query.execute(&mut *writing).await.map_err(taken)?;
        Ok(writing.commit().await?)
    }

    async fn by_id(&self, id: &ProfileId) -> Result<Option<ProfileRow>, StoreError> {
        let columns: Option<Columns> =
            sqlx::query_as(concat!("SELECT ", columns!(), " FROM profiles WHERE id = ?"))
                .bind(id.as_str())
                .fetch_optional(&self.readers)
                .await?;
        columns.map(row).transpose()
    }

    async fn by_name(&self, name: &str) -> Result<Option<ProfileRow>, StoreError> {
        let columns: Option<Columns> =
            sqlx::query_as(concat!("SELECT ", columns!(), " FROM profiles WHERE name = ?"))
                .bind(name)
                .fetch_optional(&self.readers)
                .await?;
        columns.map(row).transpose()
    }

    async fn list(&self, filter: &ListFilter) -> Result<(Vec<ProfileRow>, bool), StoreError> {
        let query = filter.query.as_deref().filter(|query| !query.is_empty());
        let columns: Vec<Columns> = sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            // instr and not LIKE: nothing in the text is a pattern.
            " FROM profiles
              WHERE (?1 IS NULL OR name_folded = ?1)
                AND (?2 IS NULL OR id = ?2 OR instr(name_folded, ?3) > 0)
              ORDER BY created_at DESC, id DESC LIMIT ?4 OFFSET ?5"
        ))
        .bind(filter.name.as_deref().map(fold))
        .bind(query)
        .bind(query.map(fold))
        // One more than asked for tells whether more follow.
        .bind(i64::from(filter.limit) + 1)
        .bind(i64::from(filter.offset))
        .fetch_all(&self.readers)
        .await?;
        decode::page(columns, filter.limit, row)
    }

    async fn rename(&self, id: &ProfileId, name: &str) -> Result<ProfileRow, StoreError> {
        let query = sqlx::query_as::<_, Columns>(concat!(
            "UPDATE profiles SET name = ?2, name_folded = ?3 WHERE id = ?1 RETURNING ",
            columns!()
        ))
        .bind(id.as_str())
        .bind(name)
        .bind(fold(name));
        let mut writing = self.begin().await?;
        let columns = query.fetch_optional(&mut *writing).await.map_err(taken)?;
        let columns = columns.ok_or(StoreError::NotFound)?;
        writing.commit().await?;
        row(columns)
    }

    async fn used(&self, id: &ProfileId, at: Timestamp) -> Result<ProfileRow, StoreError> {
        let query = sqlx::query_as::<_, Columns>(concat!(
            "UPDATE profiles SET last_used_at = ?2 WHERE id = ?1 RETURNING ",
            columns!()
        ))
        .bind(id.as_str())
        .bind(at.as_micros());
        let mut writing = self.begin().await?;
        let columns = query.fetch_optional(&mut *writing).await?.ok_or(StoreError::NotFound)?;
        writing.commit().await?;
        row(columns)
    }

    async fn saved(
        &self,
        id: &ProfileId,
        at: Timestamp,
        saved: &Saved,
    ) -> Result<Option<Saved>, StoreError> {
        let mut writing = self.begin().await?;
        let before: Option<SavedColumns> =
            sqlx::query_as("SELECT version, size FROM profiles WHERE id = ?")
                .bind(id.as_str())
                .fetch_optional(&mut *writing)
                .await?;
        let before = before.ok_or(StoreError::NotFound)?;
        sqlx::query("UPDATE profiles SET updated_at = ?2, version = ?3, size = ?4 WHERE id = ?1")
            .bind(id.as_str())
            .bind(at.as_micros())
            .bind(&saved.version)
            .bind(i64::try_from(saved.bytes).unwrap_or(i64::MAX))
            .execute(&mut *writing)
            .await?;
        writing.commit().await?;
        Ok(self::saved(before))
    }

    async fn delete(&self, id: &ProfileId) -> Result<Option<Saved>, StoreError> {
        let mut writing = self.begin().await?;
        let gone: Option<SavedColumns> =
            sqlx::query_as("DELETE FROM profiles WHERE id = ? RETURNING version, size")
                .bind(id.as_str())
                .fetch_optional(&mut *writing)
                .await?;
        writing.commit().await?;
        gone.map(saved).ok_or(StoreError::NotFound)
    }
}

/// Tells a name that is taken from other failures.
fn taken(error: sqlx::Error) -> StoreError {
    if decode::is_taken(&error) { StoreError::Taken } else { error.into() }
}

/// What is saved, in columns; the schema has both or none.
type SavedColumns = (Option<String>, Option<i64>);

fn saved((version, size): SavedColumns) -> Option<Saved> {
    let (version, bytes) = version.zip(size)?;
    Some(Saved { version, bytes: bytes.unsigned_abs() })
}

fn row(columns: Columns) -> Result<ProfileRow, StoreError> {
    let (id, name, created_at, updated_at, last_used_at, version, size) = columns;
    let corrupt =
        |what: &str| StoreError::Corrupt { id: id.clone(), detail: format!("{what}: not valid") };
    if size.is_some_and(i64::is_negative) {
        return Err(corrupt("size"));
    }
    Ok(ProfileRow {
        name,
        created_at: Timestamp::from_micros(created_at),
        updated_at: updated_at.map(Timestamp::from_micros),
        last_used_at: last_used_at.map(Timestamp::from_micros),
        saved: saved((version, size)),
        id: id.parse().map_err(|_| corrupt("id"))?,
    })
}
