//! What a creation takes and what the fleet answers.

use std::collections::BTreeMap;
use std::time::Duration;

use browserd_api::browser::SessionConfig;
use browserd_protocol::Route;

/// A session to create: checked settings plus what can change later.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// What it is.
    pub config: SessionConfig,
    /// Name, unique among active sessions.
    pub name: Option<String>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// The egress route: through the proxy in `config`, if there is one.
    pub route: Route,
}

/// How long the stages of a creation took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stages {
    /// Whether the session was taken out of the pool.
    pub from_pool: bool,
    /// Waiting to be admitted.
    pub admitted: Duration,
    /// From there, writing the row.
    pub stored: Duration,
    /// From there until clients can connect: starting it, or making a prepared one theirs.
    pub started: Duration,
}

/// One page of a listing, newest first.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Whether more follow.
    pub has_more: bool,
}
