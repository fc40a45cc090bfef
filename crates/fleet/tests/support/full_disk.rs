//! A store on a full disk.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use browserd_store::{Change, Columns, Condition, Select, SqliteStore, Store, StoreError, Table};

/// The next `refusals` changes of rows are not made.
pub(crate) struct FullDisk {
    pub(crate) store: SqliteStore,
    pub(crate) refusals: AtomicUsize,
}

#[async_trait]
impl Store for FullDisk {
    async fn insert(&self, table: &'static Table, row: Columns) -> Result<(), StoreError> {
        self.store.insert(table, row).await
    }

    async fn select(
        &self,
        table: &'static Table,
        select: Select,
    ) -> Result<Vec<Columns>, StoreError> {
        self.store.select(table, select).await
    }

    async fn change(
        &self,
        table: &'static Table,
        wanted: Vec<Condition>,
        change: Change<'_>,
    ) -> Result<Option<Columns>, StoreError> {
        let left = |left: usize| left.checked_sub(1);
        if self.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok() {
            let detail = "no space left on device".to_owned();
            return Err(StoreError::Corrupt { id: table.name.to_owned(), detail });
        }
        self.store.change(table, wanted, change).await
    }

    async fn remove(
        &self,
        table: &'static Table,
        wanted: Vec<Condition>,
    ) -> Result<Option<Columns>, StoreError> {
        self.store.remove(table, wanted).await
    }

    async fn remove_some(
        &self,
        table: &'static Table,
        wanted: Vec<Condition>,
        most: u64,
    ) -> Result<u64, StoreError> {
        self.store.remove_some(table, wanted, most).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.store.check().await
    }

    async fn total(&self, table: &'static Table, column: &'static str) -> Result<u64, StoreError> {
        self.store.total(table, column).await
    }
}
