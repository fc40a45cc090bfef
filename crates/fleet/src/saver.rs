//! What keeps a browser's state beyond its session: the seam to whoever owns profiles.

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
pub trait ProfileSaver: Debug + Send + Sync + 'static {
    /// Saves the state of a session that is over for clients and still runs, for as long as the
    /// future is polled. The call itself is made before the one who ended the session is answered:
    /// what it notes, whoever asks for the profile next can know.
    fn save(
        &self,
        session: LiveSession,
        profile: &ProfileInUse,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Whether a session that ends like this has a state worth keeping, and something to ask for it.
pub(crate) fn may_save(reason: EndReason) -> bool {
    matches!(reason, EndReason::Deleted | EndReason::TimedOut | EndReason::ServerShutdown)
}
