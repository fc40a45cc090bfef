//! Saving the profile of a session that is over for clients, before it is cleared away.

use std::sync::Arc;

use browserd_api::browser::EndReason;
use browserd_api::profiles::ProfileInUse;
use browserd_store::{SessionRow, Store};
use tokio::time::timeout;

use super::Parts;
use crate::profile_exporter::SAVED_WITHIN;
use crate::{LiveSession, Metrics, ProfileExporter, SaveOutcome, may_save_profile};

/// A profile to be saved. Nobody waits for that: the permit is held until the session is gone.
pub(super) struct Save {
    exporter: Arc<dyn ProfileExporter>,
    profile: ProfileInUse,
    live: LiveSession,
    /// Why the session ended.
    reason: EndReason,
    store: Arc<dyn Store>,
    metrics: Metrics,
}

impl Save {
    /// The profile that a session saves when it ends for this reason, if it saves one.
    pub(super) fn of(parts: &Parts, live: &LiveSession, reason: EndReason) -> Option<Self> {
        let profile = to_save(parts)?;
        let exporter = parts.profile_exporter.as_ref()?;
        may_save_profile(reason).then(|| Self {
            exporter: Arc::clone(exporter),
            profile: profile.clone(),
            live: live.clone(),
            reason,
            store: Arc::clone(&parts.store),
            metrics: parts.metrics.clone(),
        })
    }

    /// Begins at once, so that whoever asks for the profile from now on waits for it; once it is done the
    /// session is cleared away. Answers why it was not saved, if the row does not say so yet.
    pub(super) fn begin(self) -> impl Future<Output = Option<String>> + Send + use<> {
        let saved = self.exporter.save(self.live.clone(), &self.profile);
        self.finish(saved)
    }

    async fn finish(self, saved: impl Future<Output = SaveOutcome> + Send) -> Option<String> {
        let wake_lock = self.live.wake_lock();
        let mut saved = Box::pin(saved);
        let outcome = match timeout(SAVED_WITHIN, &mut saved).await {
            Ok(outcome) => outcome,
            Err(_) => {
                tracing::error!(session = %self.live.id(), profile = %self.profile.id, "saving a profile takes too long; the session is cleared away");
                self.clear();
                // Without its session it ends; what was copied by now may still be recorded.
                let late = || SaveOutcome::Failed("it took too long".to_owned());
                timeout(SAVED_WITHIN, saved).await.unwrap_or_else(|_| late())
            }
        };
        self.metrics.profile_save(outcome.as_str());
        tracing::info!(session = %self.live.id(), profile = %self.profile.id, outcome = outcome.as_str(), "the session's profile");
        let unrecorded = match outcome.error() {
            Some(why) => self.record(why).await,
            None => None,
        };
        self.clear();
        drop(wake_lock);
        unrecorded
    }

    /// Lets the row say why; answers it when that failed.
    async fn record(&self, why: String) -> Option<String> {
        let rows = self.store.rows::<SessionRow>(self.live.project());
        match rows.profile_not_saved(self.live.id(), &why).await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(session = %self.live.id(), %error, "could not write into the database that a profile was not saved; it is tried again once the session is cleared away");
                Some(why)
            }
        }
    }

    /// Has the session cleared away; doing it again changes nothing.
    fn clear(&self) {
        self.live.inner.instance.end(self.reason);
    }
}

fn to_save(parts: &Parts) -> Option<&ProfileInUse> {
    parts.row.config.profile.as_ref().filter(|profile| profile.save_changes)
}

/// Says in log and figures that a profile is lost, where a session ends in such a way.
pub(super) fn tell_lost(parts: &Parts, reason: EndReason) {
    if let Some(profile) = to_save(parts).filter(|_| !may_save_profile(reason)) {
        tracing::warn!(session = %parts.row.id, profile = %profile.id, ?reason, "a profile was not saved, because the session's browser cannot be asked any more; it keeps what was saved before");
        parts.metrics.profile_save(SaveOutcome::Failed(String::new()).as_str());
    }
}
