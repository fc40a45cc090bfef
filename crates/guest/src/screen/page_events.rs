//! When another page of a headless browser may have come to the front.
//!
//! Chromium has no event for it. A page that goes behind another says so; a page that opens or is
//! sent elsewhere may have come to the front. Then the pages are asked.

use std::time::Duration;

use browserd_chromium::cdp::{Cdp, CdpError, Event, SessionId};
use serde::Deserialize;
use serde_json::json;

use crate::browser::PageOrder;

/// How long a page may take to say whether it is in front; meanwhile nothing is shown.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// Follows which pages there are.
pub(super) struct Pages {
    session: SessionId,
    order: PageOrder,
}

impl Pages {
    /// Asks to be told of pages, on a session of its own: what others ask for does not matter to it.
    pub(super) async fn discover(cdp: &Cdp) -> Result<Self, CdpError> {
        let session = cdp.attach_browser().await?;
        let pages = Self { session, order: PageOrder::new(ANSWER_WITHIN) };
        let params = json!({ "discover": true });
        cdp.call_raw(Some(&pages.session), "Target.setDiscoverTargets", params).await?;
        Ok(pages)
    }

    /// Stops being told.
    pub(super) async fn forget(self, cdp: &Cdp) {
        // A browser that is gone has forgotten already.
        let _ = cdp.detach(&self.session).await;
    }

    /// Takes note of an event; answers whether another page may be in front now.
    pub(super) fn heed(&mut self, event: &Event) -> bool {
        if event.session.as_deref() != Some(self.session.as_str()) {
            return false;
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct About {
            target_id: Option<String>,
            target_info: Option<Info>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Info {
            target_id: String,
            #[serde(rename = "type")]
            kind: String,
        }
        let params = event.params.as_ref().map_or("{}", |params| params.get());
        let Ok(about) = serde_json::from_str::<About>(params) else { return false };
        match (event.method.as_str(), about) {
            ("Target.targetCreated", About { target_info: Some(info), .. })
                if info.kind == "page" =>
            {
                self.order.opened(info.target_id);
                true
            }
            ("Target.targetInfoChanged", About { target_info: Some(info), .. })
                if info.kind == "page" =>
            {
                self.order.len() > 1
            }
            ("Target.targetDestroyed", About { target_id: Some(id), .. }) => self.order.closed(&id),
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
