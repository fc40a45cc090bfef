//! Browser sessions: the wire types of `/browsers`, and the checked settings behind them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::profiles::{Profile, ProfileInUse};
use crate::proxies::ProxyInUse;
use crate::{ProxyId, SessionId, Timestamp};

/// Memory classes of the public API. Headless: 1 (default), 2, 4 GiB; headful: 8 (default), 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub enum Memory {
    /// 1 GiB.
    #[serde(rename = "1GiB")]
    Gib1,
    /// 2 GiB.
    #[serde(rename = "2GiB")]
    Gib2,
    /// 4 GiB.
    #[serde(rename = "4GiB")]
    Gib4,
    /// 8 GiB.
    #[serde(rename = "8GiB")]
    Gib8,
    /// 16 GiB.
    #[serde(rename = "16GiB")]
    Gib16,
}

impl Memory {
    /// The class in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        (match self {
            Self::Gib1 => 1,
            Self::Gib2 => 2,
            Self::Gib4 => 4,
            Self::Gib8 => 8,
            Self::Gib16 => 16,
        }) << 30
    }
}

/// Region labels of the public API. They are labels here: the operator says which one this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// `us-east`
    #[default]
    UsEast,
    /// `us-west`
    UsWest,
    /// `eu-west`
    EuWest,
    /// `ap-southeast`
    ApSoutheast,
}

impl Region {
    /// All labels.
    pub const ALL: [Self; 4] = [Self::UsEast, Self::UsWest, Self::EuWest, Self::ApSoutheast];

    /// The wire form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UsEast => "us-east",
            Self::UsWest => "us-west",
            Self::EuWest => "eu-west",
            Self::ApSoutheast => "ap-southeast",
        }
    }
}

/// Size of the screen, pixels: headful the window fills it, with the browser's own interface; headless it is
/// the size of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Viewport {
    /// 320 to 7680.
    #[schema(minimum = 320, maximum = 7680)]
    pub width: u32,
    /// 240 to 4320.
    #[schema(minimum = 240, maximum = 4320)]
    pub height: u32,
    /// Frames a second a live view is meant to have, 1 to 60; derived from the size when left out. A
    /// virtual screen has no rate of its own: until there is a live view, it is kept and shown only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 60)]
    pub refresh_rate: Option<u32>,
}

impl Default for Viewport {
    fn default() -> Self {
        Self { width: 1920, height: 1080, refresh_rate: Some(25) }
    }
}

/// Time zone and language asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LocationRequest {
    /// IANA name, e.g. `Europe/Paris`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// BCP 47 tag, e.g. `fr-FR`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

/// Whether the session was given a location value or has the server's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LocationSource {
    /// The session was given it.
    Override,
    /// The server's default.
    Default,
}

/// Time zone and language in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Location {
    /// IANA name.
    pub timezone: String,
    /// Where `timezone` comes from.
    pub timezone_source: LocationSource,
    /// BCP 47 tag.
    pub locale: String,
    /// Where `locale` comes from.
    pub locale_source: LocationSource,
}

/// Everything that makes a session what it is, checked. Kept with the session's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionConfig {
    /// No screen, no X server.
    pub headless: bool,
    /// Window size.
    pub viewport: Viewport,
    /// Hide the browser's own interface.
    pub kiosk_mode: bool,
    /// Whether the client asked for it.
    #[serde(default)]
    pub stealth: bool,
    /// Page to open once the session is up; the session does not fail when the page does not load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_url: Option<String>,
    /// Time zone and language asked for.
    #[serde(default)]
    pub location: LocationRequest,
    /// Enterprise policies laid over the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chrome_policy: Option<serde_json::Map<String, serde_json::Value>>,
    /// Memory class, the session's hard limit.
    pub memory: Memory,
    /// Region label.
    pub region: Region,
    /// Seconds without activity after which the session ends.
    pub timeout_seconds: u32,
    /// The proxy it goes out through; none: directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyId>,
    /// The profile that was loaded into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileInUse>,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// A client deleted it.
    Deleted,
    /// It was inactive for `timeout_seconds`.
    TimedOut,
    /// Its guest or shim died, or Chromium could not be kept running.
    Crashed,
    /// It reached its memory limit and the kernel ended its guest or shim.
    OutOfMemory,
    /// It went on writing to the disk past its limit, or past what the host can spare.
    DiskFull,
    /// It never became ready.
    FailedToStart,
    /// The server was shut down.
    ServerShutdown,
    /// The server or host went away without ending it.
    HostLost,
}

impl EndReason {
    /// All reasons, for documents and tests.
    pub const ALL: &'static [EndReason] = &[
        Self::Deleted,
        Self::TimedOut,
        Self::Crashed,
        Self::OutOfMemory,
        Self::DiskFull,
        Self::FailedToStart,
        Self::ServerShutdown,
        Self::HostLost,
    ];

    /// The wire form, as in `deletion_reason` of a session.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::TimedOut => "timed_out",
            Self::Crashed => "crashed",
            Self::OutOfMemory => "out_of_memory",
            Self::DiskFull => "disk_full",
            Self::FailedToStart => "failed_to_start",
            Self::ServerShutdown => "server_shutdown",
            Self::HostLost => "host_lost",
        }
    }
}

/// Uptime of a session.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Milliseconds from creation to the end.
    pub uptime_ms: u64,
}

/// Whether `usage` is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageStatus {
    /// Still counting.
    Pending,
    /// Final.
    Ready,
}

/// A browser session as clients see it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Browser {
    /// Id, usable wherever a path says `{id_or_name}`.
    pub session_id: SessionId,
    /// When it was created.
    pub created_at: Timestamp,
    /// WebSocket for CDP clients; dies with the session.
    pub cdp_ws_url: String,
    /// WebSocket for WebDriver BiDi clients; dies with the session.
    pub webdriver_ws_url: String,
    /// Base of direct routing: `{base_url}/process/exec?jwt=…` reaches the session without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// No screen, no X server.
    pub headless: bool,
    /// Whether it was asked for. What it means for pages, every session has; docs/stealth.md has the list.
    pub stealth: bool,
    /// Address bar and tabs are hidden.
    pub kiosk_mode: bool,
    /// Seconds without activity after which the session ends.
    pub timeout_seconds: u32,
    /// Memory class.
    pub memory: Memory,
    /// Region label.
    pub region: Region,
    /// Window size.
    pub viewport: Viewport,
    /// Time zone and language in force.
    pub location: Location,
    /// Name, unique among active sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// The `start_url` of its creation, or of the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_url: Option<String>,
    /// The profile that was loaded into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// Whether the session's state is saved into the profile when the session ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_save_changes: Option<bool>,
    /// Why the session's state was not saved into the profile, in words; the profile keeps what was saved
    /// before. Present on ended sessions only, once that is known (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_save_error: Option<String>,
    /// Its egress route: through a proxy or without one.
    pub proxy: ProxyInUse,
    /// Deprecated: the id in `proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_id: Option<ProxyId>,
    /// The `chrome_policy` of its creation, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub chrome_policy: Option<serde_json::Map<String, serde_json::Value>>,
    /// When it ended; present on ended sessions only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Why it ended; present on ended sessions only (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_reason: Option<EndReason>,
    /// What led to the end, in words, where more than the reason is known (extension).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_detail: Option<String>,
    /// Uptime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Whether `usage` is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_status: Option<UsageStatus>,
}

/// Which sessions a listing shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusFilter {
    /// Running ones.
    #[default]
    Active,
    /// Ended ones.
    Deleted,
    /// Both.
    All,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_spelled_one_way() {
        for reason in EndReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
