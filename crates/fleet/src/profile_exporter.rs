//! What takes a browser's state out of a session that ends: the seam to the owner of profiles.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use browserd_api::browser::EndReason;
use browserd_api::profiles::ProfileInUse;

use crate::LiveSession;

/// How long a session whose state is being saved is kept from being cleared away.
pub(crate) const SAVED_WITHIN: Duration = Duration::from_secs(60);

/// Saves profiles.
pub trait ProfileExporter: Debug + Send + Sync + 'static {
    /// Saves the state of a session that is over for clients and still runs. The call itself returns
    /// before the request that ended the session is answered, so that a later request for the profile
    /// can wait for what is being saved. Dropping the future does not stop it; clearing the session away
    /// does, soon.
    fn save(
        &self,
        session: LiveSession,
        profile: &ProfileInUse,
    ) -> Pin<Box<dyn Future<Output = SaveOutcome> + Send>>;
}

/// What came of saving a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaveOutcome {
    /// It is saved.
    Saved,
    /// The profile was deleted before, so there was nothing to save into.
    ProfileGone,
    /// It was not saved; why, in words for clients. The cause is logged already.
    Failed(String),
}

impl SaveOutcome {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Saved => "saved",
            Self::ProfileGone => "profile_gone",
            Self::Failed(_) => "failed",
        }
    }

    /// What the session says of it; none: all is well.
    pub(crate) fn error(self) -> Option<String> {
        match self {
            Self::Saved => None,
            Self::ProfileGone => {
                Some("the profile was deleted before the session ended".to_owned())
            }
            Self::Failed(why) => Some(why),
        }
    }
}

/// Whether a session that ends for this reason has its profile saved: its browser must still answer.
#[must_use]
pub fn may_save_profile(reason: EndReason) -> bool {
    matches!(reason, EndReason::Deleted | EndReason::TimedOut | EndReason::ServerShutdown)
}
