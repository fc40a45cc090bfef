//! HTTP requests through the browser's own network stack: its cookies, TLS, proxy and cache.
//!
//! Owns the hidden targets requests are made in, the reading of answers, and the routes below
//! `/curl`. Knows nothing of tabs: what clients see and do is untouched.
//!
//! ```text
//!  /curl, /curl/raw ─▶ Request ─▶ a slot of 16 ─▶ hidden target (kept for a while, or new)
//!                                                  │ Page.navigate
//!      paused before sending: method, headers, body put in ─▶ Chromium's network stack ─▶ target
//!      paused after the head: status, headers, body as a stream ◀──────────────────────────┘
//!      navigation aborted: nothing is rendered, no script runs, nothing is downloaded
//! ```

mod answer;
mod body;
mod buffered;
mod events;
mod exchange;
mod failure;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod headers;
mod net_error;
mod pool;
mod raw;
mod routes;
mod target;

use std::sync::Arc;

use browserd_guest_browser::Browser;
use tokio::sync::Semaphore;

pub use routes::routes;

/// Requests under way at one time; more wait.
const AT_ONCE: usize = 16;
/// Bytes of request bodies held at one time, in KiB; more wait.
const BODIES: usize = 16 << 10;
/// Largest body of a request, bytes. Chromium takes it in one message, and repeats it in events that
/// must stay below the limit of a message.
const REQUEST_BODY: usize = 4 << 20;
const _: () = assert!(REQUEST_BODY / 3 * 22 < browserd_chromium::cdp::MESSAGE_LIMIT);
/// Largest body of an answer that is not streamed, bytes.
const ANSWER_BODY: usize = 8 << 20;

/// What the routes work on. Cheap to clone.
#[derive(Clone)]
pub struct Curl(Arc<Inner>);

struct Inner {
    browser: Browser,
    pool: pool::Pool,
    slots: Arc<Semaphore>,
    bodies: Semaphore,
}

impl Curl {
    /// Requests through `browser`.
    #[must_use]
    pub fn new(browser: Browser) -> Self {
        Self(Arc::new(Inner {
            browser,
            pool: pool::Pool::default(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            bodies: Semaphore::new(BODIES),
        }))
    }
}
