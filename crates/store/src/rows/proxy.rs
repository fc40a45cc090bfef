//! Upstream proxies.

use browserd_api::proxies::Upstream;
use browserd_api::{ProxyId, Timestamp};

use super::{Column, Columns, Names, Row, Rows, Searched, Table, fold};
use crate::StoreError;

/// An upstream proxy's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyRow {
    /// Id.
    pub id: ProxyId,
    /// Name; several may have the same.
    pub name: Option<String>,
    /// What it is.
    pub upstream: Upstream,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last checked, and whether that went well.
    pub checked: Option<(Timestamp, bool)>,
}

const TABLE: Table = Table {
    name: "proxies",
    columns: &[
        Column::text("host_folded"),
        Column::text("upstream"),
        Column::integer("created_at"),
        Column::integer("last_checked"),
        Column::integer("available"),
    ],
    names: Names::Shared,
    searched: &[Searched::Part("host_folded")],
    ..Table::PLAIN
};

impl Row for ProxyRow {
    type Id = ProxyId;
    const TABLE: &'static Table = &TABLE;

    fn id(&self) -> &ProxyId {
        &self.id
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn write(&self, columns: &mut Columns) -> Result<(), StoreError> {
        columns.set("host_folded", fold(&self.upstream.host));
        columns.set_json("upstream", &self.upstream)?;
        columns.set("created_at", self.created_at);
        columns.set("last_checked", self.checked.map(|(at, _)| at));
        columns.set("available", self.checked.map(|(_, available)| available));
        Ok(())
    }

    fn read(columns: &Columns) -> Result<Self, StoreError> {
        let available = columns.integer_if("available")?.map(|available| available != 0);
        Ok(Self {
            id: columns.id("id")?,
            name: columns.name()?,
            upstream: columns.json("upstream")?,
            created_at: columns.time("created_at")?,
            checked: columns.time_if("last_checked")?.zip(available),
        })
    }
}

impl Rows<'_, ProxyRow> {
    /// Records how a check went; answers the row as it is then.
    pub async fn checked(
        &self,
        id: &ProxyId,
        at: Timestamp,
        available: bool,
    ) -> Result<ProxyRow, StoreError> {
        self.update(id, |row| row.checked = Some((at, available))).await
    }
}
