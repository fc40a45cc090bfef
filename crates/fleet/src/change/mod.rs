//! Changes of a running session: what may be asked for, and what the fleet needs of others to make them.
//!
//! ```text
//!  Fleet::change ─▶ session actor ─▶ queue ─▶ one worker at a time ─▶ step ─▶ step …
//!                        ▲                                 │
//!                        └──── what has become true ◀──────┘  recorded before the next step
//! ```

mod worker;

use std::collections::BTreeMap;

use async_trait::async_trait;
use browserd_api::browser::{LocationRequest, Viewport};
use browserd_api::profiles::ProfileInUse;
use browserd_api::{ApiError, ProfileId, ProxyId};
use browserd_protocol::Route;
use browserd_store::SessionRow;

pub(crate) use worker::{Failure, Step, Worker};

use crate::LiveSession;

/// A change of a running session. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// New name; `Some(None)` takes it away.
    pub name: Option<Option<String>>,
    /// New tags, all of them.
    pub tags: Option<BTreeMap<String, String>>,
    /// New time without activity after which it ends, seconds.
    pub timeout_seconds: Option<u32>,
    /// Another upstream proxy, or none.
    pub proxy: Option<ProxyChoice>,
    /// A profile to load.
    pub profile: Option<ProfileChoice>,
    /// New window size.
    pub viewport: Option<Resize>,
    /// New time zone; `Some(None)` is the server's.
    pub timezone: Option<Option<String>>,
    /// New language; `Some(None)` is the server's.
    pub locale: Option<Option<String>>,
    /// A page to open.
    pub start_url: Option<String>,
}

/// The upstream proxy that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyChoice {
    /// None.
    Direct,
    /// The one with this id.
    Id(ProxyId),
    /// The one with this name.
    Name(String),
}

/// The profile that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileChoice {
    /// Its id or name.
    pub id_or_name: String,
    /// Whether it is saved when the session ends.
    pub save_changes: bool,
}

/// Another window size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resize {
    /// The size.
    pub viewport: Viewport,
    /// Also while the screen is being recorded.
    pub force: bool,
}

/// What the fleet needs of others for a change: proxies, profiles, and the client of the guest. Each
/// call answers within a deadline of its own.
#[async_trait]
pub trait ChangeServices: Send + Sync + 'static {
    /// Refuses another window size where that is not wanted just now.
    async fn may_resize(&self, session: &SessionRow) -> Result<(), ApiError>;

    /// The proxy that was asked for, and the egress route through it.
    async fn route(&self, choice: &ProxyChoice) -> Result<(Option<ProxyId>, Route), ApiError>;

    /// The profile that was asked for, if the session can take it.
    async fn profile(
        &self,
        choice: &ProfileChoice,
        session: &SessionRow,
    ) -> Result<ProfileId, ApiError>;

    /// Loads a profile, as it is saved by then, into the running browser; answers with what is to be
    /// recorded of it.
    async fn load_profile(
        &self,
        session: &LiveSession,
        profile: &ProfileId,
        save_changes: bool,
    ) -> Result<ProfileInUse, StepError>;

    /// Gives screen and windows another size.
    async fn resize(&self, session: &LiveSession, viewport: Viewport) -> Result<(), StepError>;

    /// Takes the browser to another time zone and language; what is `None` is the server's own.
    async fn relocate(
        &self,
        session: &LiveSession,
        location: LocationRequest,
    ) -> Result<(), StepError>;

    /// Sends the active page to a URL.
    async fn open(&self, session: &LiveSession, url: &str) -> Result<(), StepError>;
}

/// Why a step inside the session failed.
#[derive(Debug, Clone)]
pub struct StepError {
    /// For the client.
    pub refusal: ApiError,
    /// It may have been carried out all the same, wholly or in part.
    pub maybe_done: bool,
}
