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
    /// Saves the state of a session that is over for clients and still runs, for as long as the
    /// future is polled. The call itself returns before the request that ended the session is answered,
    /// so that a later request for the profile can wait for what is being saved.
    fn save(
        &self,
        session: LiveSession,
        profile: &ProfileInUse,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// Whether a session that ends for this reason has its profile saved: its browser must still answer.
pub(crate) fn may_save(reason: EndReason) -> bool {
    matches!(reason, EndReason::Deleted | EndReason::TimedOut | EndReason::ServerShutdown)
}
