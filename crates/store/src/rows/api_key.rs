//! API keys.

use browserd_api::{ProjectId, Timestamp};

use super::{Column, Columns, Everywhere, Order, Row, Select, Table, Value};
use crate::StoreError;

/// An API key's row; the key itself is never kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// Id.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
}

const TABLE: Table = Table {
    name: "api_keys",
    // Not a name to find it by.
    columns: &[Column::text("name"), Column::bytes("hash"), Column::integer("created_at")],
    // A key is looked up by its hash before anything else is known of it.
    once: Some("hash"),
    ..Table::PLAIN
};

impl Row for ApiKeyRow {
    type Id = String;
    const TABLE: &'static Table = &TABLE;

    fn id(&self) -> &String {
        &self.id
    }

    fn write(&self, columns: &mut Columns) -> Result<(), StoreError> {
        columns.set("name", self.name.as_str());
        columns.set("hash", self.hash.to_vec());
        columns.set("created_at", self.created_at);
        Ok(())
    }

    fn read(columns: &Columns) -> Result<Self, StoreError> {
        let hash = match columns.get("hash") {
            Value::Bytes(bytes) => bytes.as_slice().try_into().ok(),
            _ => None,
        };
        Ok(Self {
            id: columns.text("id")?.to_owned(),
            name: columns.text("name")?.to_owned(),
            hash: hash.ok_or_else(|| columns.unreadable("hash", "not 32 bytes"))?,
            created_at: columns.time("created_at")?,
        })
    }
}

impl Everywhere<'_, ApiKeyRow> {
    /// All keys (few; the server keeps their hashes in memory), the oldest first.
    pub async fn all(&self) -> Result<Vec<(ProjectId, ApiKeyRow)>, StoreError> {
        let order = vec![Order::Up("created_at"), Order::Up("id")];
        self.select(Select { order, ..Select::default() }).await
    }
}
