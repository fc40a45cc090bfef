//! What a row holds, and which rows to list.

use std::collections::BTreeMap;

use browserd_api::browser::{EndReason, Region, SessionConfig, StatusFilter, Viewport};
use browserd_api::profiles::ProfileInUse;
use browserd_api::proxies::Upstream;
use browserd_api::replays::ReplayEndReason;
use browserd_api::{ProfileId, ProxyId, ReplayId, SessionId, Timestamp};

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

/// Which rows to list.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Running, ended or both.
    pub status: StatusFilter,
    /// Case-insensitive part of the name, or exactly the session's id, its proxy's, or its profile's id or
    /// name.
    pub query: Option<String>,
    /// Labels that must all be there, exactly.
    pub tags: BTreeMap<String, String>,
    /// Region label.
    pub region: Option<Region>,
    /// At most so many.
    pub limit: u32,
    /// Leave out so many first.
    pub offset: u32,
}

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

/// A profile's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileRow {
    /// Id.
    pub id: ProfileId,
    /// Name, unique.
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

/// Which proxies or profiles to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// The name, in any case.
    pub name: Option<String>,
    /// Part of the name, or of a proxy's host, in any case, or the exact id.
    pub query: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// Leave out so many first.
    pub offset: u32,
}

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
