//! When another page of a headless browser may have come to the front.
//!
//! Chromium has no event for it. A page that goes behind another says so; a page that opens or is
//! sent elsewhere may have come to the front. Then the pages are asked.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use browserd_chromium::cdp::{Cdp, CdpError, Event, SessionId, TargetEvent};
use browserd_guest_browser::{OpenOrder, PageOrder};
use serde_json::json;

/// How long a page may take to say whether it is in front; meanwhile nothing is shown.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// Follows which pages there are.
pub(super) struct Pages {
    session: SessionId,
    order: PageOrder,
    /// What each page shows, as a hash. That somebody attaches to a page is told as a change of it too,
    /// and asking it whether it is in front begins with that.
    shows: HashMap<String, u64>,
}

impl Pages {
    /// Asks to be told of pages, on a session of its own: what others ask for does not matter to it.
    pub(super) async fn discover(
        cdp: &Cdp,
        open_order: Option<OpenOrder>,
    ) -> Result<Self, CdpError> {
        let session = cdp.attach_browser().await?;
        let mut pages = Self::on(session);
        pages.order = pages.order.by_open_order(open_order);
        let params = json!({ "discover": true });
        cdp.call_raw(Some(&pages.session), "Target.setDiscoverTargets", params).await?;
        Ok(pages)
    }

    /// Told of pages on `session` from now on, of none so far.
    pub(super) fn on(session: SessionId) -> Self {
        Self { session, order: PageOrder::new(ANSWER_WITHIN), shows: HashMap::new() }
    }

    /// Ids of the pages there are.
    #[cfg(any(test, fuzzing))]
    pub(super) fn known(&self) -> &[String] {
        self.order.known()
    }

    /// Stops being told.
    pub(super) async fn forget(self, cdp: &Cdp) {
        // A browser that is gone has forgotten already.
        let _ = cdp.detach(&self.session).await;
    }

    /// Takes note of an event; answers whether another page may be in front now.
    pub(super) fn heed(&mut self, event: &Event) -> bool {
        match event.about_target(&self.session) {
            Some(TargetEvent::Created(page)) if page.kind == "page" => {
                self.shows.insert(page.target_id.clone(), hash(&page.url, &page.title));
                self.order.opened(page.target_id);
                true
            }
            Some(TargetEvent::Changed(page)) if page.kind == "page" => {
                let shows = hash(&page.url, &page.title);
                self.shows.insert(page.target_id, shows) != Some(shows)
                    && self.order.known().len() > 1
            }
            Some(TargetEvent::Destroyed(id)) => {
                self.shows.remove(&id);
                self.order.closed(&id)
            }
            _ => false,
        }
    }

    /// The page in front; `now` is the one taken for it so far.
    pub(super) async fn in_front(
        &mut self,
        cdp: &Cdp,
        now: Option<&str>,
    ) -> Result<Option<String>, CdpError> {
        self.order.in_front(cdp, now).await
    }
}

fn hash(url: &str, title: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (url, title).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;

    use super::*;

    /// Whether an event about a target leads to a choice.
    fn heeds(pages: &mut Pages, session: &str, method: &str, info: serde_json::Value) -> bool {
        let params = match method {
            "targetDestroyed" => info,
            _ => json!({ "targetInfo": info }),
        };
        pages.heed(&Event {
            method: format!("Target.{method}"),
            session: Some(session.to_owned()),
            params: Some(to_raw_value(&params).unwrap()),
        })
    }

    fn page(id: &str, title: &str, attached: bool) -> serde_json::Value {
        json!({ "targetId": id, "type": "page", "title": title, "url": "", "attached": attached })
    }

    #[test]
    fn what_may_bring_another_page_to_the_front() {
        let mut pages = Pages::on(serde_json::from_str("\"S\"").unwrap());
        let mut heeds = |method, info| heeds(&mut pages, "S", method, info);
        assert!(heeds("targetCreated", page("a", "", false)));
        // There is no other page yet.
        assert!(!heeds("targetInfoChanged", page("a", "new", false)));
        assert!(heeds("targetCreated", page("b", "", false)));
        assert!(heeds("targetInfoChanged", page("b", "new", false)));
        assert!(heeds("targetDestroyed", json!({ "targetId": "a" })));
        assert!(!heeds("targetDestroyed", json!({ "targetId": "frame" })));
    }

    #[test]
    fn being_asked_is_no_reason_to_ask_again() {
        let mut pages = Pages::on(serde_json::from_str("\"S\"").unwrap());
        for id in ["a", "b"] {
            assert!(heeds(&mut pages, "S", "targetCreated", page(id, "", false)));
        }
        for attached in [true, false] {
            assert!(!heeds(&mut pages, "S", "targetInfoChanged", page("b", "", attached)));
        }
        assert!(!heeds(&mut pages, "other", "targetCreated", page("c", "", false)));
        let worker = json!({ "targetId": "w", "type": "worker", "title": "", "url": "" });
        assert!(!heeds(&mut pages, "S", "targetCreated", worker));
    }
}
