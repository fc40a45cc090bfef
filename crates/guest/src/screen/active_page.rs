//! Which page of a headless browser is the one in front.
//!
//! Chromium has no event for it. A page that goes behind another says so; a page that opens or is
//! sent elsewhere may have come to the front. Then the pages are asked, the newest first.

use std::time::Duration;

use browserd_chromium::cdp::{Cdp, CdpError, Event, SessionId};
use serde::Deserialize;
use serde_json::{Value, json};

/// Pages asked at most.
const ASKED_LIMIT: usize = 32;
/// How long a page may take to answer; one that shows a dialog does not.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// Whether a page shows, and whether it has the keyboard.
const QUESTION: &str = "(document.visibilityState === 'visible') + document.hasFocus()";

/// Follows which pages there are.
pub(super) struct Pages {
    session: SessionId,
    /// Ids of targets, the oldest first.
    known: Vec<String>,
}

impl Pages {
    /// Asks to be told of pages, on a session of its own: what others ask for does not matter to it.
    pub(super) async fn discover(cdp: &Cdp) -> Result<Self, CdpError> {
        let session = cdp.attach_browser().await?;
        let pages = Self { session, known: Vec::new() };
        let params = json!({ "discover": true });
        cdp.call_raw(Some(&pages.session), "Target.setDiscoverTargets", params).await?;
        Ok(pages)
    }

    /// Told of pages on `session` from now on, of none so far.
    #[cfg(any(test, fuzzing))]
    pub(super) fn told(session: SessionId) -> Self {
        Self { session, known: Vec::new() }
    }

    /// Ids of the pages there are.
    #[cfg(any(test, fuzzing))]
    pub(super) fn known(&self) -> &[String] {
        &self.known
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
                self.known.retain(|known| *known != info.target_id);
                self.known.push(info.target_id);
                true
            }
            ("Target.targetInfoChanged", About { target_info: Some(info), .. }) => {
                info.kind == "page" && self.known.len() > 1
            }
            ("Target.targetDestroyed", About { target_id: Some(id), .. }) => {
                let count = self.known.len();
                self.known.retain(|known| *known != id);
                self.known.len() < count
            }
            _ => false,
        }
    }

    /// The page in front; `now` is the one taken for it so far.
    pub(super) async fn in_front(
        &self,
        cdp: &Cdp,
        now: Option<&str>,
    ) -> Result<Option<String>, CdpError> {
        let age = |id: &str| self.known.iter().rposition(|known| known == id);
        let mut pages: Vec<String> =
            cdp.pages().await?.into_iter().map(|page| page.target_id).collect();
        pages.sort_by_key(|id| std::cmp::Reverse(age(id)));
        if pages.len() < 2 {
            return Ok(pages.pop());
        }
        let mut best: Option<(u64, &String)> = None;
        for page in pages.iter().take(ASKED_LIMIT) {
            let front = tokio::time::timeout(ANSWER_WITHIN, ask(cdp, page)).await;
            let front = front.ok().and_then(Result::ok).unwrap_or(0);
            // Of two that say the same, the one shown so far stays, and else the newer.
            let front = front * 2 + u64::from(Some(page.as_str()) == now && front > 0);
            if best.is_none_or(|(most, _)| front > most) {
                best = Some((front, page));
            }
        }
        Ok(best.map(|(_, page)| page.clone()))
    }
}

/// 0: behind others, 1: shows, 2: shows and has the keyboard.
async fn ask(cdp: &Cdp, page: &str) -> Result<u64, CdpError> {
    let session = cdp.attach(page).await?;
    let params = json!({ "expression": QUESTION, "returnByValue": true });
    let answer = cdp.call::<_, Value>(Some(&session), "Runtime.evaluate", params);
    let answer = tokio::time::timeout(ANSWER_WITHIN / 2, answer).await;
    let _ = cdp.detach(&session).await;
    Ok(match answer {
        Ok(answer) => answer?["result"]["value"].as_u64().unwrap_or(0),
        Err(_) => 0,
    })
}
