//! Messages as they go over the pipe.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Debug, Serialize)]
pub(super) struct Command<'a, P> {
    pub(super) id: u64,
    pub(super) method: &'a str,
    pub(super) params: P,
    #[serde(rename = "sessionId", skip_serializing_if = "Option::is_none")]
    pub(super) session_id: Option<&'a str>,
}

/// An answer (with `id`) or an event (with `method`).
#[derive(Debug, Deserialize)]
pub(super) struct Incoming<'a> {
    #[serde(default)]
    pub(super) id: Option<u64>,
    #[serde(default, borrow)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(super) params: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub(super) result: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) error: Option<RemoteError>,
    #[serde(default, borrow, rename = "sessionId")]
    pub(super) session_id: Option<Cow<'a, str>>,
}

/// Chromium's refusal of a command.
#[derive(Debug, Deserialize)]
pub(super) struct RemoteError {
    #[serde(default)]
    pub(super) code: i64,
    #[serde(default)]
    pub(super) message: String,
}

/// What an answer without a result stands for.
pub(super) fn empty() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}
