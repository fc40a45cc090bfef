//! Playwright code inside a session: the wire types of `/browsers/{id_or_name}/playwright`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::Timestamp;

/// The executor a request without a name means.
pub const DEFAULT_EXECUTOR: &str = "default";

/// A script, and where to run it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ExecuteRequest {
    /// TypeScript or JavaScript, the body of an async function with `page`, `context` and
    /// `browser`.
    #[schema(min_length = 1)]
    pub code: String,
    /// Seconds the script may run. Default 60.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 300)]
    pub timeout_sec: Option<u64>,
    /// Name of the executor to run it; absent or `default`: the one of the active tab.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub executor: Option<String>,
}

/// The tab a script got as `page`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tab {
    /// Its target id in CDP.
    pub target_id: String,
    /// Whether it was opened for this call.
    pub created: bool,
}

/// The outcome of a script.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ExecuteResponse {
    /// Whether it ran to its end.
    pub success: bool,
    /// What it returned; null for `undefined`. Absent when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<Box<RawValue>>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it wrote to standard output (`console.log`, `console.info`), at most 1 MiB.
    pub stdout: String,
    /// What it wrote to standard error (`console.error`, `console.warn`), at most 1 MiB, and the
    /// stack of what it threw.
    pub stderr: String,
    /// The tab it acted on; absent when it failed before it got one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tab: Option<Tab>,
}

/// An executor.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Executor {
    /// Its name.
    pub name: String,
    /// Whether a script runs on it.
    pub busy: bool,
    /// When it was first used.
    pub created_at: Timestamp,
    /// When a script last started or ended on it.
    pub last_used_at: Timestamp,
    /// The tab its last script acted on, while that is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_id: Option<String>,
    /// What that tab shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The executors of a session.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Executors {
    /// By name.
    pub executors: Vec<Executor>,
}

/// Whether `name` may be an executor's.
#[must_use]
pub fn is_executor_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
