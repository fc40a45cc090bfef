//! Looking at an X server, across its restarts.

use std::sync::Arc;

use browserd_guest_browser::Browser;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::slot::Slot;
use super::{next_browser, x11};

/// Its stack, bytes: it calls nothing deep.
const STACK: usize = 512 * 1024;

/// Shows the display in `slot` until there is no viewer any more.
pub(super) async fn follow(
    browser: Browser,
    display: String,
    slot: Arc<Slot>,
    unwatched: CancellationToken,
) {
    let mut generation = 0;
    // The X server comes before its Chromium, and goes with it.
    while let Some(running) = next_browser(&browser, generation, &unwatched).await {
        generation = running.generation;
        if !look(&browser, display.clone(), Arc::clone(&slot), &unwatched).await {
            return;
        }
    }
}

/// One thread's look; `true` when the X server went away.
async fn look(
    browser: &Browser,
    display: String,
    slot: Arc<Slot>,
    unwatched: &CancellationToken,
) -> bool {
    let (ended, end) = oneshot::channel();
    let desired_state = Arc::clone(browser.desired_state());
    let started =
        pipe_with(PipeFlags::CLOEXEC).map_err(std::io::Error::from).and_then(|(hang_up, held)| {
            // A thread of its own, because the X server may be one of the session's own making that
            // never answers.
            std::thread::Builder::new().name("screen".into()).stack_size(STACK).spawn(
                move || {
                    let _ = ended.send(x11::capture(&display, &hang_up, &slot, &desired_state));
                },
            )?;
            Ok(held)
        });
    let _held = match started {
        Ok(held) => held,
        Err(error) => {
            tracing::error!(%error, "the session's screen cannot be captured: recordings and live view stay empty");
            return false;
        }
    };
    tokio::select! {
        () = unwatched.cancelled() => false,
        end = end => {
            if let Ok(Err(error)) = end {
                tracing::info!(%error, "screen capture lost the X server and tries again when it is back");
            }
            true
        }
    }
}
