//! Recordings.

use browserd_api::replays::ReplayEndReason;
use browserd_api::{ProjectId, ReplayId, SessionId, Timestamp};

use super::{Column, Columns, Condition, Everywhere, Order, Row, Rows, Select, Table, readable};
use crate::StoreError;

/// A recording's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayRow {
    /// Id.
    pub id: ReplayId,
    /// Whose screen it shows.
    pub session_id: SessionId,
    /// When it began.
    pub started_at: Timestamp,
    /// How it ended; none while it goes on, and until its file is kept.
    pub end: Option<ReplayEnd>,
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayEnd {
    /// When.
    pub finished_at: Timestamp,
    /// Why.
    pub reason: ReplayEndReason,
    /// Size of its file; 0 when nothing of it could be kept.
    pub size_bytes: u64,
}

const TABLE: Table = Table {
    name: "replays",
    columns: &[
        Column::text("session_id"),
        Column::integer("started_at"),
        Column::integer("finished_at"),
        Column::text("end_reason"),
        Column::integer("size"),
    ],
    made_at: "started_at",
    ..Table::PLAIN
};

impl Row for ReplayRow {
    type Id = ReplayId;
    const TABLE: &'static Table = &TABLE;

    fn id(&self) -> &ReplayId {
        &self.id
    }

    fn write(&self, columns: &mut Columns) -> Result<(), StoreError> {
        columns.set("session_id", self.session_id.as_str());
        columns.set("started_at", self.started_at);
        if let Some(end) = &self.end {
            columns.set("finished_at", end.finished_at);
            columns.set_word("end_reason", &end.reason)?;
            columns.set("size", end.size_bytes);
        }
        Ok(())
    }

    fn read(columns: &Columns) -> Result<Self, StoreError> {
        let end = (
            columns.time_if("finished_at")?,
            columns.word_if("end_reason")?,
            columns.size_if("size")?,
        );
        let end = match end {
            (None, None, None) => None,
            (Some(finished_at), Some(reason), Some(size_bytes)) => {
                Some(ReplayEnd { finished_at, reason, size_bytes })
            }
            _ => return Err(columns.unreadable("finished_at", "half an end")),
        };
        Ok(Self {
            id: columns.id("id")?,
            session_id: columns.id("session_id")?,
            started_at: columns.time("started_at")?,
            end,
        })
    }
}

impl Rows<'_, ReplayRow> {
    /// All recordings of a session, the oldest first.
    pub async fn of_session(&self, session: &SessionId) -> Result<Vec<ReplayRow>, StoreError> {
        let wanted = vec![self.project(), Condition::Is("session_id", session.as_str().into())];
        let order = vec![Order::Up("started_at"), Order::Up("id")];
        let select = Select { wanted, order, ..Select::default() };
        let found = self.store.select(&TABLE, select).await?;
        Ok(found.iter().filter_map(readable).collect())
    }

    /// A recording of a session.
    pub async fn of_session_by_id(
        &self,
        session: &SessionId,
        id: &ReplayId,
    ) -> Result<Option<ReplayRow>, StoreError> {
        Ok(self.by_id(id).await?.filter(|row| row.session_id == *session))
    }

    /// Records a recording's end, once: a second end changes nothing.
    pub async fn end(&self, id: &ReplayId, end: &ReplayEnd) -> Result<(), StoreError> {
        self.update(id, |row| _ = row.end.get_or_insert_with(|| end.clone())).await?;
        Ok(())
    }
}

impl Everywhere<'_, ReplayRow> {
    /// Recordings that have not ended.
    pub async fn open(&self) -> Result<Vec<(ProjectId, ReplayRow)>, StoreError> {
        let wanted = vec![Condition::Empty("finished_at")];
        self.select(Select { wanted, order: vec![Order::Up("id")], ..Select::default() }).await
    }

    /// At most `most` recordings that have ended, the first to end in front, without the first `skipped`;
    /// none for one whose row cannot be read.
    pub async fn ended(
        &self,
        most: u32,
        skipped: u64,
    ) -> Result<Vec<Option<(ProjectId, ReplayRow)>>, StoreError> {
        let select = Select {
            wanted: vec![Condition::Filled("finished_at")],
            order: vec![Order::Up("finished_at"), Order::Up("id")],
            limit: Some(most.into()),
            offset: skipped,
            ..Select::default()
        };
        let found = self.store.select(&TABLE, select).await?;
        let read = |columns: &Columns| Some((columns.id("project_id").ok()?, readable(columns)?));
        Ok(found.iter().map(read).collect())
    }

    /// Bytes of all that have ended. Looks at every row.
    pub async fn size(&self) -> Result<u64, StoreError> {
        self.store.total(&TABLE, "size").await
    }
}
