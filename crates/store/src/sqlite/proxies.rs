//! Upstream proxies.

use async_trait::async_trait;
use browserd_api::{ProxyId, Timestamp};

use super::SqliteStore;
use super::decode::{self, fold};
use crate::{ListFilter, ProxyRow, ProxyRows, StoreError};

/// Id, name, what it is, when it was made and checked, and how that went.
type Columns = (String, Option<String>, String, i64, Option<i64>, Option<bool>);

macro_rules! columns {
    () => {
        "id, name, upstream, created_at, last_checked, available"
    };
}

#[async_trait]
impl ProxyRows for SqliteStore {
    async fn insert(&self, row: &ProxyRow) -> Result<(), StoreError> {
        let query = sqlx::query(
            "INSERT INTO proxies (id, name, name_folded, host_folded, upstream, created_at,
                                  last_checked, available)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(row.id.as_str())
        .bind(row.name.as_deref())
        .bind(row.name.as_deref().map(fold))
        .bind(fold(&row.upstream.host))
        .bind(decode::to_json(&row.id, &row.upstream)?)
        .bind(row.created_at.as_micros())
        .bind(row.checked.map(|(at, _)| at.as_micros()))
        .bind(row.checked.map(|(_, available)| available));
        let mut writing = self.begin().await?;
        query.execute(&mut *writing).await?;
        Ok(writing.commit().await?)
    }

    async fn by_id(&self, id: &ProxyId) -> Result<Option<ProxyRow>, StoreError> {
        let columns: Option<Columns> =
            sqlx::query_as(concat!("SELECT ", columns!(), " FROM proxies WHERE id = ?"))
                .bind(id.as_str())
                .fetch_optional(&self.readers)
                .await?;
        columns.map(row).transpose()
    }

    async fn list(&self, filter: &ListFilter) -> Result<(Vec<ProxyRow>, bool), StoreError> {
        let query = filter.query.as_deref().filter(|query| !query.is_empty());
        let columns: Vec<Columns> = sqlx::query_as(concat!(
            "SELECT ",
            columns!(),
            // instr and not LIKE: nothing in the text is a pattern.
            " FROM proxies
              WHERE (?1 IS NULL OR name_folded = ?1)
                AND (?2 IS NULL OR id = ?2 OR instr(name_folded, ?3) > 0
                     OR instr(host_folded, ?3) > 0)
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

    async fn rename(&self, id: &ProxyId, name: Option<&str>) -> Result<ProxyRow, StoreError> {
        let query = sqlx::query_as::<_, Columns>(concat!(
            "UPDATE proxies SET name = ?2, name_folded = ?3 WHERE id = ?1 RETURNING ",
            columns!()
        ))
        .bind(id.as_str())
        .bind(name)
        .bind(name.map(fold));
        let mut writing = self.begin().await?;
        let columns = query.fetch_optional(&mut *writing).await?.ok_or(StoreError::NotFound)?;
        writing.commit().await?;
        row(columns)
    }

    async fn checked(
        &self,
        id: &ProxyId,
        at: Timestamp,
        available: bool,
    ) -> Result<ProxyRow, StoreError> {
        let query = sqlx::query_as::<_, Columns>(concat!(
            "UPDATE proxies SET last_checked = ?2, available = ?3 WHERE id = ?1 RETURNING ",
            columns!()
        ))
        .bind(id.as_str())
        .bind(at.as_micros())
        .bind(available);
        let mut writing = self.begin().await?;
        let columns = query.fetch_optional(&mut *writing).await?.ok_or(StoreError::NotFound)?;
        writing.commit().await?;
        row(columns)
    }

    async fn delete(&self, id: &ProxyId) -> Result<(), StoreError> {
        let mut writing = self.begin().await?;
        let deleted = sqlx::query("DELETE FROM proxies WHERE id = ?")
            .bind(id.as_str())
            .execute(&mut *writing)
            .await?
            .rows_affected();
        writing.commit().await?;
        if deleted == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }
}

fn row(columns: Columns) -> Result<ProxyRow, StoreError> {
    let (id, name, upstream, created_at, last_checked, available) = columns;
    let corrupt =
        |what: &str| StoreError::Corrupt { id: id.clone(), detail: format!("{what}: not valid") };
    Ok(ProxyRow {
        name,
        upstream: serde_json::from_str(&upstream).map_err(|_| corrupt("upstream"))?,
        created_at: Timestamp::from_micros(created_at),
        checked: last_checked.map(Timestamp::from_micros).zip(available),
        id: id.parse().map_err(|_| corrupt("id"))?,
    })
}
