//! Recordings of a session's screen, as clients see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ReplayId, Timestamp};

/// Most frames a second.
pub const FRAMERATE_LIMIT: u32 = 60;
/// Frames a second when the request does not say.
pub const FRAMERATE_DEFAULT: u32 = 10;
/// Longest recording that can be asked for, seconds: a week, longer than any session lives.
pub const DURATION_LIMIT: u64 = 7 * 24 * 3600;

/// What to record.
#[derive(Debug, Clone, ToSchema)]
pub struct StartReplay {
    /// Most frames a second; a screen that does not change takes far fewer.
    #[schema(minimum = 1, maximum = 60, default = 10)]
    pub framerate: Option<u32>,
    /// Seconds after which the recording ends by itself; none: it ends when it is stopped, with the
    /// session, or at the size this server allows.
    #[schema(minimum = 1, maximum = 604_800)]
    pub max_duration_in_seconds: Option<u64>,
    /// Record what the browser plays, too.
    #[schema(default = false)]
    pub record_audio: Option<bool>,
}

/// Why a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayEndReason {
    /// A client stopped it.
    Stopped,
    /// It reached the duration asked for.
    MaxDuration,
    /// Its file reached the size this server allows, or the session's disk or the host's was full.
    DiskLimit,
    /// Its session ended.
    SessionEnded,
    /// The encoder ended by itself; what it had written is kept.
    EncoderFailed,
}

/// A recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Replay {
    /// Id.
    pub replay_id: ReplayId,
    /// When its first frame was taken.
    pub started_at: Timestamp,
    /// When it ended; null while it records.
    pub finished_at: Option<Timestamp>,
    /// Plays the recording in a browser, in a frame too. Good without a key, for this recording
    /// alone, and after the session has ended.
    pub replay_view_url: String,
    /// Extension: why it ended; absent while it records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<ReplayEndReason>,
    /// Extension: size of the finished file, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
}
