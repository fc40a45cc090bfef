//! Recordings of the screen: one encoder process each, fed from the one look at the screen.
//!
//! Owns the recordings under way and their files until `serve` has taken them, and the routes by
//! which it does ([`browserd_protocol::replay`]). Clients do not come here: their routes are the
//! server's, because recordings outlive the session.
//!
//! ```text
//!  Screen ─Tap─▶ writer (thread) ─Matroska, times in it─▶ ffmpeg ─fragmented MP4─▶ <id>.mp4
//!                    ▲ stop, duration                       │ exits: end of input, size, killed
//!                    └───────────── task ◀──────────────────┘
//!                                     └─ index moved to the front (-c copy), atomically ─▶ Ended
//! ```
//!
//! The file is good at any time: whatever kills the encoder, the guest or the session leaves whole
//! fragments behind.

mod audio;
mod encoder;
mod file;
mod matroska;
mod recording;
mod routes;
mod writer;

use std::collections::HashMap;
use std::sync::Arc;

use browserd_api::ReplayId;
use browserd_guest_browser::Browser;
use browserd_guest_session::Session;
use parking_lot::Mutex;

use crate::Screen;

pub use routes::router;

use recording::Recording;

/// Recordings under way at one time: each costs an encoder.
const RUNNING_LIMIT: usize = 8;
/// Recordings kept, with those that wait to be taken.
const KEPT_LIMIT: usize = 256;

/// All recordings of the session. Cheap to clone.
#[derive(Clone)]
pub struct Replays {
    session: Arc<Session>,
    browser: Browser,
    screen: Screen,
    audio: audio::Audio,
    kept: Arc<Mutex<HashMap<ReplayId, Slot>>>,
}

/// A place among the recordings.
enum Slot {
    /// Its start is under way.
    Starting,
    /// It has started.
    There(Arc<Recording>),
}

impl Replays {
    /// No recordings yet.
    #[must_use]
    pub fn new(session: Arc<Session>, browser: Browser, screen: Screen) -> Self {
        let audio = audio::Audio::new(Arc::clone(&session), browser.clone());
        Self { session, browser, screen, audio, kept: Arc::default() }
    }

    fn find(&self, id: &ReplayId) -> Option<Arc<Recording>> {
        match self.kept.lock().get(id)? {
            Slot::There(recording) => Some(Arc::clone(recording)),
            Slot::Starting => None,
        }
    }
}
