//! A note's row.

use std::collections::BTreeMap;

use browserd_api::Timestamp;
use browserd_store::{Column, Columns, Names, Row, Searched, StoreError, Table, fold};

use super::wire::NoteId;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NoteRow {
    pub(super) id: NoteId,
    pub(super) name: Option<String>,
    pub(super) text: String,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) created_at: Timestamp,
}

const TABLE: Table = Table {
    name: "notes",
    columns: &[Column::text("text"), Column::text("tags"), Column::integer("created_at")],
    names: Names::Unique,
    searched: &[Searched::Part("text")],
    ..Table::PLAIN
};

impl Row for NoteRow {
    type Id = NoteId;
    const TABLE: &'static Table = &TABLE;

    fn id(&self) -> &NoteId {
        &self.id
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn write(&self, columns: &mut Columns) -> Result<(), StoreError> {
        // Notes are in small letters, so that they can be searched.
        columns.set("text", fold(&self.text));
        columns.set_json("tags", &self.tags)?;
        columns.set("created_at", self.created_at);
        Ok(())
    }

    fn read(columns: &Columns) -> Result<Self, StoreError> {
        Ok(Self {
            id: columns.id("id")?,
            name: columns.name()?,
            text: columns.text("text")?.to_owned(),
            tags: columns.json("tags")?,
            created_at: columns.time("created_at")?,
        })
    }
}
