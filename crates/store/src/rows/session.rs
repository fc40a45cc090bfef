//! Sessions.

use std::collections::BTreeMap;

use browserd_api::browser::{EndReason, SessionConfig, Viewport};
use browserd_api::profiles::ProfileInUse;
use browserd_api::{ProxyId, SessionId, Timestamp};

use super::{
    Column, Columns, Condition, Everywhere, Names, Order, ReplayRow, Row, Rows, Searched, Select,
    Table, Value,
};
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

/// The field of config that a session needs only while it runs.
const POLICY: &str = "chrome_policy";

const TABLE: Table = Table {
    name: "sessions",
    columns: &[
        Column::text("tags"),
        Column::text("config"),
        // Copies of what config says, for filtering and searching.
        Column::text("region"),
        Column::text("proxy_id"),
        Column::text("profile_id"),
        Column::text("profile_name"),
        Column::integer("created_at"),
        Column::integer("ended_at"),
        Column::text("end_reason"),
        Column::text("end_detail"),
    ],
    names: Names::UniqueWhileOpen,
    ended_at: Some("ended_at"),
    searched: &[
        Searched::Whole("proxy_id"),
        Searched::Whole("profile_id"),
        Searched::Whole("profile_name"),
    ],
    // A page of policies could have half a gigabyte.
    unlisted: Some(("config", POLICY)),
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
        let profile = self.config.profile.as_ref();
        columns.set("region", self.config.region.as_str());
        columns.set("proxy_id", self.config.proxy.as_ref().map(ProxyId::as_str));
        columns.set("profile_id", profile.map(|profile| profile.id.as_str()));
        columns.set("profile_name", profile.and_then(|profile| profile.name.as_deref()));
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

/// What a running session's columns become at its end: nothing needs its policy any more.
fn end_of(
    old: &Columns,
    at: Timestamp,
    reason: EndReason,
    detail: Option<&str>,
) -> Result<Columns, StoreError> {
    let mut new = old.clone();
    end(&mut new, at, reason, detail)?;
    let config = old.text("config")?;
    // What cannot be read stays: the end is to be recorded all the same.
    if config.contains(POLICY)
        && let Ok(mut config) =
            serde_json::from_str::<serde_json::Map<_, serde_json::Value>>(config)
        && config.remove(POLICY).is_some()
    {
        new.set_json("config", &config)?;
    }
    Ok(new)
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

    /// Records the end, once: a second end changes nothing. The policy goes with it.
    pub async fn end(
        &self,
        id: &SessionId,
        at: Timestamp,
        reason: EndReason,
        detail: Option<&str>,
    ) -> Result<(), StoreError> {
        self.change(id, Vec::new(), &mut |old| match old.get("ended_at") {
            Value::Null => end_of(old, at, reason, detail),
            _ => Ok(old.clone()),
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
        let wanted = vec![Condition::Empty("ended_at")];
        let order = vec![Order::Up("id")];
        let open = Select { wanted, order, listing: true, ..Select::default() };
        let mut ended = 0;
        for row in self.store.select(&TABLE, open).await? {
            let wanted =
                vec![Condition::Is("id", row.get("id").clone()), Condition::Empty("ended_at")];
            let change = &mut |old: &Columns| end_of(old, at, reason, detail);
            ended += u64::from(self.store.change(&TABLE, wanted, change).await?.is_some());
        }
        Ok(ended)
    }

    /// Takes at most `most` rows away that ended before a time and have no recordings, which are found
    /// through them; answers how many.
    pub async fn forget(&self, before: Timestamp, most: u64) -> Result<u64, StoreError> {
        let wanted = vec![
            Condition::Filled("ended_at"),
            Condition::Below("ended_at", before.into()),
            Condition::Unused(ReplayRow::TABLE, "session_id"),
        ];
        self.store.remove_some(&TABLE, wanted, most).await
    }
}
