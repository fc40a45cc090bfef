//! Recordings: what `serve` asks of a guest over its HTTP socket, below [`ROUTES`]. Clients do not
//! reach these routes; `serve` has those of the API.
//!
//! ```text
//!  POST   /internal/replays            Order ──▶ Started     the first frame was taken
//!  POST   /internal/replays/{id}/stop                        ends it, if it has not ended
//!  GET    /internal/replays/{id}/end         ──▶ Ended       answers once the file is whole
//!  GET    /internal/replays/{id}/file        ──▶ video/mp4
//!  DELETE /internal/replays/{id}                             forgets it, with its file
//! ```

use browserd_api::replays::ReplayEndReason;
use browserd_api::{ReplayId, Timestamp};
use serde::{Deserialize, Serialize};

/// Where the routes begin.
pub const ROUTES: &str = "/internal/replays";

/// Bytes a recording's file may have beyond its limit: the encoder looks at its size between two
/// fragments, and the finished file has an index of its own.
pub const SLACK: u64 = 64 << 20;

/// A recording to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id, which names its file too.
    pub replay_id: ReplayId,
    /// Most frames a second.
    pub framerate: u32,
    /// Seconds after which it ends by itself.
    #[serde(default)]
    pub max_duration_in_seconds: Option<u64>,
    /// Whether to record sound.
    pub record_audio: bool,
    /// Bytes at which it ends.
    pub limit_bytes: u64,
}

/// A recording under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// When its first frame was taken.
    pub started_at: Timestamp,
}

/// A recording that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When its last frame was taken.
    pub finished_at: Timestamp,
    /// Why.
    pub reason: ReplayEndReason,
    /// Size of its file.
    pub size_bytes: u64,
}
