//! Sessions.

use std::collections::BTreeMap;

use browserd_api::browser::{EndReason, SessionConfig, Viewport};
use browserd_api::profiles::ProfileInUse;
use browserd_api::{ProxyId, SessionId, Timestamp};

use super::{Column, Columns, Condition, Everywhere, Names, Row, Rows, Searched, Table, Value};
use crate::StoreError;

/// A session's row.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRow {
    /// Id.
    pub id: SessionId,
    /// Name, unique among rows that have not ended.
    pub name: Option<String>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// What it is.
    pub config: SessionConfig,
    /// When it was created.
    pub created_at: Timestamp,
    /// When and why it ended, and what led to it.
    pub ended: Option<(Timestamp, EndReason, Option<String>)>,
}

const TABLE: Table = Table {
    name: "sessions",
    columns: &[
        Column::text("tags"),
        Column::text("config"),
        // A copy of what config says, for filtering.
        Column::text("region"),
        Column::integer("created_at"),
        Column::integer("ended_at"),
        Column::text("end_reason"),
        Column::text("end_detail"),
    ],
    names: Names::UniqueWhileOpen,
    ended_at: Some("ended_at"),
    searched: &[
        Searched::Json("config", &["proxy"]),
        Searched::Json("config", &["profile", "id"]),
        Searched::Json("config", &["profile", "name"]),
    ],
    // A page of policies could have half a gigabyte.
    unlisted: Some(("config", "chrome_policy")),
    ..Table::PLAIN
};

impl Row for SessionRow {
    type Id = SessionId;
    const TABLE: &'static Table = &TABLE;

    fn id(&self) -> &SessionId {
        &self.id
    }

    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn write(&self, columns: &mut Columns) -> Result<(), StoreError> {
        columns.set_json("tags", &self.tags)?;
        columns.set_json("config", &self.config)?;
        columns.set("region", self.config.region.as_str());
        columns.set("created_at", self.created_at);
        match &self.ended {
            Some((at, reason, detail)) => end(columns, *at, *reason, detail.as_deref()),
            None => Ok(()),
        }
    }

    fn read(columns: &Columns) -> Result<Self, StoreError> {
        let ended = match (columns.time_if("ended_at")?, columns.word_if("end_reason")?) {
            (None, None) => None,
            (Some(at), Some(reason)) => {
                Some((at, reason, columns.text_if("end_detail")?.map(str::to_owned)))
            }
            _ => {
                return Err(
                    columns.unreadable("ended_at", "a time without a reason, or the reverse")
                );
            }
        };
        Ok(Self {
            id: columns.id("id")?,
            name: columns.name()?,
            tags: columns.json("tags")?,
            config: columns.json("config")?,
            created_at: columns.time("created_at")?,
            ended,
        })
    }
}

fn end(
    columns: &mut Columns,
    at: Timestamp,
    reason: EndReason,
    detail: Option<&str>,
) -> Result<(), StoreError> {
    columns.set("ended_at", at);
    columns.set("end_detail", detail);
    columns.set_word("end_reason", &reason)
}

/// Changes to a running session; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SessionPatch {
    /// New name; `Some(None)` takes it away.
    pub name: Option<Option<String>>,
    /// New labels, all of them.
    pub tags: Option<BTreeMap<String, String>>,
    /// New window size.
    pub viewport: Option<Viewport>,
    /// New time zone; `Some(None)` is the server's.
    pub timezone: Option<Option<String>>,
    /// New language; `Some(None)` is the server's.
    pub locale: Option<Option<String>>,
    /// The start URL last asked for.
    pub start_url: Option<String>,
    /// New time without activity after which it ends, seconds.
    pub timeout_seconds: Option<u32>,
    /// Another proxy; `Some(None)` is none.
    pub proxy: Option<Option<ProxyId>>,
    /// The profile that was loaded.
    pub profile: Option<ProfileInUse>,
}

impl SessionPatch {
    fn apply(&self, row: &mut SessionRow) {
        fn set<T: Clone>(to: &mut T, new: &Option<T>) {
            if let Some(new) = new {
                to.clone_from(new);
            }
        }
        let config = &mut row.config;
        set(&mut row.name, &self.name);
        set(&mut row.tags, &self.tags);
        set(&mut config.viewport, &self.viewport);
        set(&mut config.location.timezone, &self.timezone);
        set(&mut config.location.locale, &self.locale);
        set(&mut config.timeout_seconds, &self.timeout_seconds);
        set(&mut config.proxy, &self.proxy);
        if self.start_url.is_some() {
            config.start_url.clone_from(&self.start_url);
        }
        if self.profile.is_some() {
            config.profile.clone_from(&self.profile);
        }
    }
}

impl Rows<'_, SessionRow> {
    /// Changes a running session; answers the row as it is then. One that has ended is `NotFound`.
    pub async fn patch(
        &self,
        id: &SessionId,
        patch: &SessionPatch,
    ) -> Result<SessionRow, StoreError> {
        self.update_where(id, vec![Condition::Empty("ended_at")], |row| {
            patch.apply(row);
            Ok(())
        })
        .await
    }

    /// Records the end, once: a second end changes nothing.
    pub async fn end(
        &self,
        id: &SessionId,
        at: Timestamp,
        reason: EndReason,
        detail: Option<&str>,
    ) -> Result<(), StoreError> {
        self.change(id, Vec::new(), &mut |old| {
            let mut new = old.clone();
            if *old.get("ended_at") == Value::Null {
                end(&mut new, at, reason, detail)?;
            }
            Ok(new)
        })
        .await?;
        Ok(())
    }
}

impl Rows<'_, SessionRow> {
    /// Records why the state of a session was not saved into its profile.
    pub async fn profile_not_saved(&self, id: &SessionId, why: &str) -> Result<(), StoreError> {
        self.update(id, |row| {
            if let Some(profile) = &mut row.config.profile {
                profile.save_error = Some(why.to_owned());
            }
        })
        .await?;
        Ok(())
    }
}

impl Everywhere<'_, SessionRow> {
    /// Ends every row that has not ended; answers how many.
    pub async fn end_all(
        &self,
        at: Timestamp,
        reason: EndReason,
        detail: Option<&str>,
    ) -> Result<u64, StoreError> {
        let mut set = Columns::default();
        end(&mut set, at, reason, detail)?;
        self.store.change_all(&TABLE, vec![Condition::Empty("ended_at")], set).await
    }
}
