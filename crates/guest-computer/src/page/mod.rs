//! A headless session's page as a screen: input and pictures through the debugging pipe.
//!
//! There is no screen and no window around the page, so the screen is the viewport of the page in
//! front, its pixels are CSS pixels, and the mouse is where the last action left it. The page in
//! front is the one that is visible; of several windows the one that has the keyboard, and then the
//! newest. The clipboard is the browser's own.
//!
//! One session is kept attached to the page in front, with no domain enabled, so that an action
//! costs a few calls. Events are awaited until the page has dealt with them, but only so long: a page
//! that shows a dialog or never ends a script has been given its events all the same, as under X.

mod capture;
mod clipboard;
mod input;

use std::time::Duration;

use browserd_chromium::cdp::{Cdp, CdpError, SessionId};
use browserd_guest_browser::{Browser, NoBrowser, PageOrder};
use serde_json::{Value, json};
use xkeysym::Keysym;

use super::point::{Point, Size};

/// How long a page may take to say how large it is, or whether it is in front.
const TELL_WITHIN: Duration = Duration::from_secs(2);
/// Largest side of a viewport that is believed.
const SIDE_LIMIT: u64 = 16_384;

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There is no browser.
    #[error(transparent)]
    NoBrowser(#[from] NoBrowser),
    /// It has no page.
    #[error("no page is open in this session; open one over CDP")]
    NoPage,
    /// The call failed.
    #[error(transparent)]
    Cdp(#[from] CdpError),
    /// The answer is not what it should be.
    #[error("Chromium answered {0}")]
    Odd(&'static str),
}

type Result<T> = std::result::Result<T, Failure>;

/// The page in front, attached.
#[derive(Clone)]
struct Front {
    generation: u64,
    cdp: Cdp,
    target: String,
    session: SessionId,
}

/// The session's pages.
pub(super) struct Pages {
    browser: Browser,
    front: Option<Front>,
    order: PageOrder,
    mouse: Point,
    /// Buttons that are down, as `MouseEvent.buttons` has them.
    buttons: u32,
    /// Keys that are down.
    held: Vec<Keysym>,
}

impl Pages {
    pub(super) fn new(browser: Browser) -> Self {
        let order = PageOrder::new(TELL_WITHIN).by_open_order(browser.open_order());
        let mouse = Point { x: 0, y: 0 };
        Self { browser, front: None, order, mouse, buttons: 0, held: Vec::new() }
    }

    /// Where the last action left the mouse.
    pub(super) fn position(&self) -> Point {
        self.mouse
    }

    /// The size of the viewport of the page in front.
    pub(super) async fn size(&mut self) -> Result<Size> {
        let front = self.front().await?;
        match tokio::time::timeout(TELL_WITHIN, viewport(&front)).await {
            Ok(Ok(size)) => Ok(size),
            Ok(Err(Failure::Cdp(CdpError::Refused { .. }))) => {
                // The session went with the page it was attached to; a new one will do.
                self.front = None;
                let front = self.front().await?;
                viewport(&front).await
            }
            Ok(Err(error)) => Err(error),
            // A page that shows a dialog does not say; its window does.
            Err(_) => {
                let bounds = front.cdp.window_bounds(&front.target).await?;
                let side = |side: u32| i32::try_from(side).unwrap_or(i32::MAX);
                Ok(Size { width: side(bounds.width), height: side(bounds.height) })
            }
        }
    }

    /// The page in front, attached.
    async fn front(&mut self) -> Result<Front> {
        let running = self.browser.running().await?;
        let cdp = running.cdp;
        if self.front.as_ref().is_some_and(|front| front.generation != running.generation) {
            self.front = None;
            self.buttons = 0;
            self.held.clear();
        }
        let target = self.order.in_front(&cdp, None).await?.ok_or(Failure::NoPage)?;
        if let Some(front) = &self.front {
            if front.target == target {
                return Ok(front.clone());
            }
            // It may be gone already.
            let _ = front.cdp.detach(&front.session).await;
            self.front = None;
        }
        let session = cdp.attach(&target).await?;
        let front = Front { generation: running.generation, cdp, target, session };
        Ok(self.front.insert(front).clone())
    }
}

async fn evaluate(cdp: &Cdp, session: &SessionId, expression: &str) -> Result<Value> {
    let params = json!({ "expression": expression, "returnByValue": true, "userGesture": true });
    let mut answer: Value = cdp.call(Some(session), "Runtime.evaluate", params).await?;
    Ok(answer["result"]["value"].take())
}

async fn viewport(front: &Front) -> Result<Size> {
    let told = evaluate(&front.cdp, &front.session, "[innerWidth, innerHeight]").await?;
    let side = |index: usize| {
        let side = told[index].as_u64().filter(|side| (1..=SIDE_LIMIT).contains(side));
        side.and_then(|side| i32::try_from(side).ok()).ok_or(Failure::Odd("no viewport"))
    };
    Ok(Size { width: side(0)?, height: side(1)? })
}
