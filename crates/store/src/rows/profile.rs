//! Profiles.

use browserd_api::{ProfileId, Timestamp};

use super::{Column, Columns, Names, Row, Rows, Table};
use crate::StoreError;

/// A profile's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRow {
    /// Id.
    pub id: ProfileId,
    /// Name, unique in its project.
    pub name: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When something was last saved.
    pub updated_at: Option<Timestamp>,
    /// When a session last took it.
    pub last_used_at: Option<Timestamp>,
    /// What is saved; none: nothing yet.
    pub saved: Option<Saved>,
}

/// What is saved of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Tells its blob from those of earlier savings.
    pub version: String,
    /// Size of the blob.
    pub bytes: u64,
}

const TABLE: Table = Table {
    name: "profiles",
    columns: &[
        Column::integer("created_at"),
        Column::integer("updated_at"),
        Column::integer("last_used_at"),
        Column::text("version"),
        Column::integer("size"),
    ],
    names: Names::Unique,
    ..Table::PLAIN
};

impl Row for ProfileRow {
    type Id = ProfileId;
    const TABLE: &'static Table = &TABLE;

    fn id(&self) -> &ProfileId {
        &self.id
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn write(&self, columns: &mut Columns) -> Result<(), StoreError> {
        columns.set("created_at", self.created_at);
        columns.set("updated_at", self.updated_at);
        columns.set("last_used_at", self.last_used_at);
        columns.set("version", self.saved.as_ref().map(|saved| saved.version.as_str()));
        columns.set("size", self.saved.as_ref().map(|saved| saved.bytes));
        Ok(())
    }

    fn read(columns: &Columns) -> Result<Self, StoreError> {
        let version = columns.text_if("version")?.map(str::to_owned);
        let saved = version.zip(columns.size_if("size")?);
        Ok(Self {
            id: columns.id("id")?,
            name: columns.name()?,
            created_at: columns.time("created_at")?,
            updated_at: columns.time_if("updated_at")?,
            last_used_at: columns.time_if("last_used_at")?,
            saved: saved.map(|(version, bytes)| Saved { version, bytes }),
        })
    }
}

impl Rows<'_, ProfileRow> {
    /// Records that a session took it; answers the row as it is then.
    pub async fn used(&self, id: &ProfileId, at: Timestamp) -> Result<ProfileRow, StoreError> {
        self.update(id, |row| row.last_used_at = Some(at)).await
    }

    /// Records what is saved from now on; answers what was before.
    pub async fn saved(
        &self,
        id: &ProfileId,
        at: Timestamp,
        saved: &Saved,
    ) -> Result<Option<Saved>, StoreError> {
        let mut before = None;
        self.update(id, |row| {
            before = row.saved.replace(saved.clone());
            row.updated_at = Some(at);
        })
        .await?;
        Ok(before)
    }
}
