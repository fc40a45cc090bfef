//! The session's screen as a source of frames, and recordings of it.
//!
//! Owns looking: what the screen shows, taken when it changes and as often as the most demanding
//! taker wants, and only while there is one. Encodes nothing itself; `replays` feeds it to encoders.
//! Moves and types nothing.
//!
//! ```text
//!  headful   X server ── DAMAGE: something changed ─▶ thread ── SHM image, pointer drawn in ─┐
//!  headless  active page ── screencast ─▶ task ── JPEG decoded ────────────────────────────┤
//!                                                                                          ▼
//!                                                      slot: the newest frame ◀─wait── Tap, Tap …
//! ```
//!
//! A screen that stands still costs a look at the pointer now and then (headful), or nothing at all
//! (headless). Frames are not queued: a slow taker misses some and always gets the newest.

mod frame;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod headful;
mod headless;
mod pacing;
mod page_events;
mod pointer;
pub mod replays;
mod slot;
mod x11;

use std::sync::Arc;

use browserd_guest_browser::{Browser, BrowserState, Running};
use browserd_guest_session::Session;
use tokio_util::sync::CancellationToken;

pub use frame::Frame;
pub use slot::{Stop, Tap};

use slot::Slot;

/// The session's screen. Cheap to clone.
#[derive(Clone)]
pub struct Screen {
    session: Arc<Session>,
    browser: Browser,
    slot: Arc<Slot>,
}

impl Screen {
    /// The screen of `browser`'s session; there is no viewer yet.
    #[must_use]
    pub fn new(session: Arc<Session>, browser: Browser) -> Self {
        Self { session, browser, slot: Arc::default() }
    }

    /// Looks at the screen from now on, until the tap is dropped: at most `framerate` frames a
    /// second. Must be called inside the runtime.
    #[must_use]
    pub fn tap(&self, framerate: u32) -> Tap {
        let (tap, first) = Tap::open(&self.slot, framerate);
        if let Some(unwatched) = first {
            self.start(unwatched);
        }
        tap
    }

    fn start(&self, unwatched: CancellationToken) {
        let (slot, browser) = (Arc::clone(&self.slot), self.browser.clone());
        let display = (!self.session.spec.config.headless)
            .then(|| browserd_guest_session::environment::display(&self.session));
        self.browser.spawn(|ending| async move {
            let looking = async {
                match display {
                    Some(display) => headful::follow(browser, display, slot, unwatched).await,
                    None => headless::follow(browser, slot, unwatched).await,
                }
            };
            ending.run_until_cancelled(looking).await;
        });
    }
}

/// The next Chromium after `generation`; none when there will be none, or there is no viewer any more.
async fn next_browser(
    browser: &Browser,
    generation: u64,
    unwatched: &CancellationToken,
) -> Option<Running> {
    let mut state = browser.state();
    let next = state.wait_for(|state| match state {
        BrowserState::Running(running) => running.generation > generation,
        BrowserState::Stopped(_) => true,
        BrowserState::Starting => false,
    });
    match &*unwatched.run_until_cancelled(next).await?.ok()? {
        BrowserState::Running(running) => Some(running.clone()),
        _ => None,
    }
}
