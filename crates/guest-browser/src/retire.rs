//! The orderly end of a session's Chromium, for the sake of what it has on the disk.
//!
//! ```text
//!  retired: whatever ends now is neither lost nor restarted
//!     └─▶ pages closed ─▶ renderers killed ─▶ Local Storage written ─▶ cookies ─▶ Browser.close ─▶ [stopped]
//!                                                                                      │ not in time
//!                                                                                      └─▶ killed ─▶ [stopped]
//! ```

use std::io;
use std::time::Duration;

use browserd_chromium::cdp::{Cdp, CdpError};
use futures_util::future::join_all;
use serde_json::value::RawValue;

use super::storage::flush;
use super::{Browser, BrowserState, NoBrowser};

/// How long pages may take to close and Local Storage to be written; mostly a twentieth of a second.
const FLUSHED_WITHIN: Duration = Duration::from_secs(10);
/// How long Chromium may take to write its profile out and exit; mostly a fifth of a second.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);
/// How long a killed one may take to be gone, and the X server with it.
const KILLED_WITHIN: Duration = Duration::from_secs(10);

/// Why Chromium has no cookies to give.
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
    /// then is what there is. One that does not say its cookies runs on, with nobody to start it again.
    ///
    /// Pages are closed first, as their scripts may keep something at that.
    pub async fn retire(&self) -> Result<Box<RawValue>, RetireError> {
        let chromium = self.running().await?;
        let cdp = &chromium.cdp;
        self.retired.cancel();
        let flushed = async {
            close_pages(cdp).await.map_err(io::Error::other)?;
            flush(&chromium).await
        };
        match tokio::time::timeout(FLUSHED_WITHIN, flushed).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.logs.event(&format!(
                "what pages kept last may be missing in the saved profile: {error}"
            )),
            Err(_) => self.logs.event(&format!(
                "what pages kept last may be missing in the saved profile: chromium was not done within \
                 {FLUSHED_WITHIN:?}"
            )),
        }
        let cookies = cdp.cookies().await?;
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

/// Closes all pages but a new one, without which a headful Chromium would exit.
async fn close_pages(cdp: &Cdp) -> Result<(), CdpError> {
    let pages = cdp.pages().await?;
    cdp.open_page("about:blank").await?;
    // What does not close loses its renderer.
    join_all(pages.iter().map(|page| cdp.close_page(&page.target_id))).await;
    Ok(())
}
