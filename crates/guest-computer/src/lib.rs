//! The session's computer: mouse, keyboard, screen and clipboard, and the routes below `/computer`.
//!
//! Owns the order of actions, what they hold down, the connection to the X server (headful) and the
//! sessions attached to pages (headless). Starts no process, and records nothing: see `screen`.
//!
//! ```text
//!  request ─▶ plan (400) ─▶ turn: one at a time ─▶ Hand ─▶ Device ─┬▶ x11: XTEST, XFIXES, SHM
//!                             client gone │          │ what is     └▶ page: Input, Page over the pipe
//!                                         ▼          │ held
//!                                  the rest is left ─▶ let go ─▶ the next one
//! ```

mod action;
mod batch;
mod check;
mod click_mouse;
mod clipboard;
mod cursor;
mod device;
mod drag_mouse;
mod encoding;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod hand;
mod human;
mod keys;
mod move_mouse;
mod page;
mod point;
mod position;
mod press_key;
mod routes;
mod screenshot;
mod scroll;
mod turn;
mod type_text;
mod x11;

use std::sync::Arc;

use browserd_guest_browser::Browser;
use browserd_guest_session::Session;
use tokio::sync::{Mutex, Semaphore};

use device::Device;
use hand::Hand;

pub use routes::routes;

/// The computer of a session. Cheap to clone.
#[derive(Clone)]
pub struct Computer(Arc<Inner>);

struct Inner {
    /// Taken in the order it is asked for.
    hand: Mutex<Hand>,
    /// Places of those who wait for it.
    waiting: Arc<Semaphore>,
}

impl Computer {
    /// The computer of `browser`'s session. Connects to nothing yet.
    #[must_use]
    pub fn new(session: &Session, browser: Browser) -> Self {
        let device = if session.spec.config.headless {
            Device::Headless(Box::new(page::Pages::new(browser)))
        } else {
            let display = x11::Display::new(session.places.display, browser.desired_state());
            Device::Headful(display, Box::new(page::FrontPage::new(browser)))
        };
        let hand = Mutex::new(Hand::new(device));
        Self(Arc::new(Inner { hand, waiting: Arc::new(Semaphore::new(turn::WAITING)) }))
    }
}
