//! The orderly end of a session's Chromium, for the sake of what it has on the disk.
//!
//! ```text
//!  cookies ─▶ retired: whatever ends now is neither lost nor restarted ─▶ Browser.close ─▶ [stopped]
//!                                                                │ not in time
//!                                                                └─▶ killed ─▶ [stopped]
//! ```

use std::time::Duration;

use browserd_chromium::cdp::CdpError;
use serde_json::value::RawValue;

use super::{Browser, BrowserState, NoBrowser};

/// How long Chromium may take to write its profile out and exit; mostly a fifth of a second.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);
/// How long a killed one may take to be gone, and the X server with it.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// Why Chromium was not closed; it runs on.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// There is no browser.
    #[error(transparent)]
    NoBrowser(#[from] NoBrowser),
    /// Chromium refused it, or its pipe is closed.
    #[error(transparent)]
    Cdp(#[from] CdpError),
}

impl Browser {
    /// Ends Chromium for good and answers with the cookies it had; after that, nothing writes to its
    /// profile any more. A Chromium that does not close in time is killed, and what it has written by
    /// then is what there is.
    ///
    /// Waiting for its exit matters: until then, Local Storage on the disk is up to a minute old.
    pub async fn retire(&self) -> Result<Box<RawValue>, RetireError> {
        let cdp = self.running().await?.cdp;
        let cookies = cdp.cookies().await?;
        self.retired.cancel();
        let closed = async {
            if let Err(error) = cdp.close_browser().await {
                // Mostly it has been quicker than its answer.
                tracing::debug!(%error, "Chromium did not answer that it closes");
            }
            self.stopped().await;
        };
        if tokio::time::timeout(CLOSED_WITHIN, closed).await.is_err() {
            self.logs.event("chromium did not close in time and is killed");
            self.stop.cancel();
            if tokio::time::timeout(KILLED_WITHIN, self.stopped()).await.is_err() {
                tracing::warn!("Chromium was killed to save its profile and has not ended yet");
            }
        }
        Ok(cookies)
    }

    /// Waits until Chromium is gone for good.
    async fn stopped(&self) {
        let mut state = self.state.clone();
        // An error means that its supervisor is gone, so it is not started again: the same.
        let _ = state.wait_for(|state| matches!(state, BrowserState::Stopped(_))).await;
    }
}
