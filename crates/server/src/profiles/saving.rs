//! Which profiles are being saved just now, and waiting until they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use browserd_api::ProfileId;
use tokio::sync::watch;

/// The saves under way. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Saves(Arc<watch::Sender<UnderWay>>);

/// Each save has a number, larger than those of all that began before it.
#[derive(Debug, Default)]
struct UnderWay {
    last: u64,
    profiles: BTreeMap<ProfileId, BTreeSet<u64>>,
}

impl UnderWay {
    /// The number of the oldest save of a profile that is still under way.
    fn oldest(&self, id: &ProfileId) -> Option<u64> {
        self.profiles.get(id)?.first().copied()
    }
}

impl Saves {
    /// A session begins to save a profile; it is done when the answer is dropped.
    pub(super) fn begin(&self, id: &ProfileId) -> Saving {
        let mut number = 0;
        self.0.send_modify(|saves| {
            saves.last += 1;
            number = saves.last;
            saves.profiles.entry(id.clone()).or_default().insert(number);
        });
        Saving { saves: self.clone(), id: id.clone(), number }
    }

    /// Waits until what is being saved of a profile now is saved. It does not wait for sessions that begin
    /// to save it meanwhile, of which there may always be another.
    pub(super) async fn settled(&self, id: &ProfileId) {
        let mut saves = self.0.subscribe();
        let last = saves.borrow_and_update().last;
        // The other end is in here.
        let _ = saves.wait_for(|saves| saves.oldest(id).is_none_or(|oldest| oldest > last)).await;
    }
}

/// Held while a session saves a profile.
pub(super) struct Saving {
    saves: Saves,
    id: ProfileId,
    number: u64,
}

impl Drop for Saving {
    fn drop(&mut self) {
        self.saves.0.send_modify(|saves| {
            if let Some(numbers) = saves.profiles.get_mut(&self.id) {
                numbers.remove(&self.number);
                if numbers.is_empty() {
                    saves.profiles.remove(&self.id);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_asks_waits_for_the_saves_before_and_for_no_later_one() {
        let (saves, id, other) = (Saves::default(), ProfileId::generate(), ProfileId::generate());
        saves.settled(&id).await;
        let (first, second) = (saves.begin(&id), saves.begin(&id));
        let _another_profile = saves.begin(&other);
        let mut waiting = Box::pin(saves.settled(&id));
        assert!(waiting.as_mut().now_or_never().is_none());
        // One after the other, so that at no time none is under way.
        let third = saves.begin(&id);
        drop(second);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        assert!(waiting.as_mut().now_or_never().is_some());
        drop(third);
        saves.settled(&id).await;
    }
}
