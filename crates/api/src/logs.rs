//! Logs inside a session: the wire types of `/browsers/{id_or_name}/logs`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;

/// Where log lines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// A text file, named by `path`.
    Path,
    /// A program of the session's own, named by `supervisor_process`.
    Supervisor,
}

/// Where reading begins (extension).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogStart {
    /// With the oldest line that is kept.
    Start,
    /// With the next line that is written.
    End,
}

/// The name of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogEventKind {
    /// A line.
    Log,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEvent {
    /// Always `log`.
    pub event: LogEventKind,
    /// When the line was read.
    pub timestamp: Timestamp,
    /// The line without its end, cut at 64 KiB; bytes that are not UTF-8 are replaced.
    pub message: String,
}
