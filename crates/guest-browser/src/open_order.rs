//! The order in which pages were opened, for a browser in which nothing else tells which one is in
//! front: in `chromium-headless-shell` every page shows, in a window of its own.
//!
//! It is kept from what Chromium tells of pages. Asking for the windows' numbers would do as well, but a
//! shell that is asked for the window of a page that is just being closed crashes.

use std::sync::Arc;

use browserd_chromium::cdp::{Cdp, CdpError, Event, SessionId, TargetEvent, TargetState};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

/// Ids of the pages there are, the oldest first. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct OpenOrder(Arc<Mutex<Vec<String>>>);

impl OpenOrder {
    /// Follows the pages of a browser that has just started until it is gone, in a task of its own.
    pub(super) async fn follow(&self, cdp: &Cdp) -> Result<(), CdpError> {
        self.0.lock().clear();
        let mut events = cdp.events();
        let session = cdp.attach_browser().await?;
        let params = json!({ "discover": true });
        cdp.call_raw(Some(&session), "Target.setDiscoverTargets", params).await?;
        let open_order = self.clone();
        tokio::spawn(async move {
            loop {
                match events.recv().await {
                    Ok(event) => open_order.heed(&session, &event),
                    // What was missed is newer than all that is known, or gone.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        Ok(())
    }

    fn heed(&self, session: &SessionId, event: &Event) {
        let Some(event) = event.about_target(session) else { return };
        let mut pages = self.0.lock();
        match event {
            // Whatever it is: only pages are ever asked about.
            TargetEvent::Created(TargetState { target_id, .. }) => {
                pages.retain(|page| *page != target_id);
                pages.push(target_id);
            }
            TargetEvent::Destroyed(id) => pages.retain(|page| *page != id),
            TargetEvent::Changed(_) => {}
        }
    }

    /// The newest of these; one that has not been heard of yet is the newest there is.
    pub(super) fn newest<'a>(&self, among: &'a [String]) -> Option<&'a String> {
        let pages = self.0.lock();
        let age = |page: &String| pages.iter().position(|known| known == page);
        among.iter().max_by_key(|page| age(page).unwrap_or(usize::MAX))
    }

    /// Knows these, the oldest first.
    #[cfg(test)]
    pub(super) fn of(pages: &[&str]) -> Self {
        Self(Arc::new(Mutex::new(pages.iter().map(|page| (*page).to_owned()).collect())))
    }
}
