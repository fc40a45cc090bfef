//! A headless session's page as a screen: input and pictures through the debugging pipe.
//!
//! There is no screen and no window around the page, so the screen is the viewport of the page in
//! front, its pixels are CSS pixels, and the mouse is where the last action left it. The page in
//! front is the one that is visible; of several windows the one that has the keyboard, and then the
//! newest. The clipboard is the browser's own.
//!
//! Events are awaited until the page has dealt with them, but only so long: a page that shows a dialog or
//! never ends a script has been given its events all the same, as under X. What a page refuses because it
//! is just becoming another is asked for again.

mod capture;
mod clipboard;
mod front;
mod heed;
mod input;

use browserd_chromium::cdp::{Cdp, CdpError, SessionId};
use browserd_guest_browser::{Browser, NoBrowser};
use serde_json::{Value, json};
use xkeysym::Keysym;

use super::point::{Point, Size};

pub(super) use front::FrontPage;

use front::{Front, Patience, TELL_WITHIN};

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

impl Failure {
    /// Whether the page may only be becoming another, or giving way to one.
    fn passes(&self) -> bool {
        matches!(self, Self::Cdp(CdpError::Refused { .. }) | Self::Odd(_))
    }
}

/// The session's pages.
pub(super) struct Pages {
    front: FrontPage,
    /// The Chromium of the last action.
    generation: u64,
    /// What the page in front last said of its size.
    told: Option<(String, Size)>,
    mouse: Point,
    /// Buttons that are down, as `MouseEvent.buttons` has them.
    buttons: u32,
    /// Keys that are down.
    held: Vec<Keysym>,
}

impl Pages {
    pub(super) fn new(browser: Browser) -> Self {
        let (front, mouse) = (FrontPage::new(browser), Point { x: 0, y: 0 });
        Self { front, generation: 0, told: None, mouse, buttons: 0, held: Vec::new() }
    }

    /// Where the last action left the mouse.
    pub(super) fn position(&self) -> Point {
        self.mouse
    }

    /// The size of the viewport of the page in front.
    pub(super) async fn size(&mut self) -> Result<Size> {
        let mut patience = Patience::new();
        loop {
            match self.try_size().await {
                Err(error) if patience.again(&error).await => self.front.let_go().await,
                outcome => return outcome,
            }
        }
    }

    async fn try_size(&mut self) -> Result<Size> {
        let front = self.front().await?;
        let Ok(size) = tokio::time::timeout(TELL_WITHIN, viewport(&front)).await else {
            // A page that shows a dialog does not say; it has said so before, or is as large as the screen.
            return Ok(match &self.told {
                Some((target, size)) if *target == front.target => *size,
                _ => self.wanted(),
            });
        };
        let mut size = size?;
        if size != self.wanted() && self.front.browser.fit(&front.cdp, &front.target).await? {
            size = viewport(&front).await?;
        }
        self.told = Some((front.target, size));
        Ok(size)
    }

    /// The size pages are to have.
    fn wanted(&self) -> Size {
        let viewport = self.front.browser.desired_state().viewport();
        let side = |side: u32| i32::try_from(side).unwrap_or(i32::MAX);
        Size { width: side(viewport.width), height: side(viewport.height) }
    }

    /// The page in front, attached.
    async fn front(&mut self) -> Result<Front> {
        let front = self.front.get().await?;
        if front.generation != self.generation {
            self.generation = front.generation;
            self.buttons = 0;
            self.held.clear();
        }
        Ok(front)
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
