//! The JavaScript REPL inside a session: the wire types of `/browsers/{id_or_name}/repl`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A cell (a piece of code) to run.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ReplRequest {
    /// JavaScript. May be empty with `reset`.
    pub code: String,
    /// Seconds it may run. Default 60.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 300)]
    pub timeout_sec: Option<u64>,
    /// Start a fresh runtime first; all bindings are lost.
    #[serde(default)]
    pub reset: bool,
}

/// The ways to show text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplChannel {
    /// By `repl.write`.
    Write,
    /// On standard output.
    Stdout,
    /// On standard error.
    Stderr,
}

/// One thing a cell showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ReplContent {
    /// Text.
    Text {
        /// The way it was shown.
        channel: ReplChannel,
        /// What was shown.
        text: String,
    },
    /// An image.
    Image {
        /// `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
        mime_type: String,
        /// Its bytes, base64.
        data_b64: String,
    },
}

/// The outcome of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplResponse {
    /// The runtime it ran in; bindings live as long as this stays the same.
    #[schema(pattern = "^[a-z][a-z0-9]{23}$")]
    pub repl_id: String,
    /// Whether it ran to its end.
    pub success: bool,
    /// What it showed, in order.
    pub content: Vec<ReplContent>,
    /// Whether something is missing from `content`, because of its limits.
    pub content_truncated: bool,
    /// How long it ran, milliseconds.
    pub duration_ms: u64,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Stack of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Whether its runtime has ended; the next cell gets a fresh one.
    pub repl_terminated: bool,
}

/// A fresh id of a runtime, of the form of a cuid2.
#[must_use]
pub fn new_repl_id() -> String {
    crate::ids::new_cuid2()
}
