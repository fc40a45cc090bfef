//! The page in front, attached, and one look after another at what passes.

use std::time::Duration;

use browserd_chromium::cdp::{Cdp, SessionId};
use browserd_guest_browser::{Browser, PageOrder};
use tokio::time::Instant;

use super::{Failure, Result};

/// How long a page may take to say how large it is, or whether it is in front.
pub(super) const TELL_WITHIN: Duration = Duration::from_secs(2);
/// How long what passes may take: a page that becomes another refuses for some milliseconds.
const PASSES_WITHIN: Duration = Duration::from_secs(15);
/// Pauses between two tries, growing from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(100));

/// The page in front, attached.
#[derive(Clone)]
pub(super) struct Front {
    /// Which start of Chromium it is of.
    pub(super) generation: u64,
    pub(super) cdp: Cdp,
    pub(super) target: String,
    pub(super) session: SessionId,
}

/// Keeps one session attached to the page in front, with no domain enabled, so that an action costs few calls.
pub(crate) struct FrontPage {
    pub(super) browser: Browser,
    order: PageOrder,
    front: Option<Front>,
}

impl FrontPage {
    pub(crate) fn new(browser: Browser) -> Self {
        let order = PageOrder::new(TELL_WITHIN).by_open_order(browser.open_order());
        Self { browser, order, front: None }
    }

    /// The page in front, attached.
    pub(super) async fn get(&mut self) -> Result<Front> {
        let running = self.browser.running().await?;
        let cdp = running.cdp;
        if self.front.as_ref().is_some_and(|front| front.generation != running.generation) {
            self.front = None;
        }
        let target = self.order.in_front(&cdp, None).await?.ok_or(Failure::NoPage)?;
        if let Some(front) = &self.front {
            if front.target == target {
                return Ok(front.clone());
            }
            self.let_go().await;
        }
        let session = cdp.attach(&target).await?;
        let front = Front { generation: running.generation, cdp, target, session };
        Ok(self.front.insert(front).clone())
    }

    /// Attaches anew the next time.
    pub(super) async fn let_go(&mut self) {
        if let Some(front) = self.front.take() {
            // It may be gone already.
            let _ = front.cdp.detach(&front.session).await;
        }
    }
}

/// How long something that passes is tried again.
pub(super) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { until: Instant::now() + PASSES_WITHIN, pause: PAUSES.0 }
    }

    /// Waits a little, and answers whether to try again after `failure`.
    pub(super) async fn again(&mut self, failure: &Failure) -> bool {
        if !failure.passes() || Instant::now() >= self.until {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSES.1);
        true
    }
}
