//! Knowing that the pages of a headful session have dealt with input that came through the X server.
//!
//! The browser passes events on to the page and goes on. A gesture that scrolls by nothing sends the page no
//! event at all, and Chromium answers it when the page has dealt with all input before it. It knows nothing
//! of frames that other processes render; those are asked for something, which they answer when they have
//! nothing better to do.

use std::time::Duration;

use browserd_chromium::cdp::{Cdp, CdpError};
use futures_util::future::join_all;
use serde_json::json;

use super::front::FrontPage;
use super::{Result, evaluate};

/// How long a page may take to deal with an event before it is taken for given, a dialog being open, say.
pub(super) const HEED_WITHIN: Duration = Duration::from_secs(2);
/// Frames of other processes asked at most.
const FRAMES: usize = 16;

impl FrontPage {
    /// Waits until the page in front has dealt with the input it was given, or has taken too long.
    pub(crate) async fn heeded(&mut self) {
        match tokio::time::timeout(HEED_WITHIN, self.heed()).await {
            Ok(Ok(())) => {}
            // The page has become another, or has gone: it has dealt with its input.
            Ok(Err(error)) => {
                tracing::debug!(%error, "the page in front was not asked for its input");
                self.let_go().await;
            }
            Err(_) => tracing::debug!("a page is slow to take its input"),
        }
    }

    async fn heed(&mut self) -> Result<()> {
        let front = self.get().await?;
        let nothing = json!({ "x": 1, "y": 1, "xDistance": 0, "yDistance": 0 });
        let (session, cdp) = (Some(&front.session), &front.cdp);
        cdp.call_raw(session, "Input.synthesizeScrollGesture", nothing).await?;
        let frames = cdp.frames_of(&front.target).await?;
        join_all(frames.iter().take(FRAMES).map(|frame| async move {
            // One that goes meanwhile has nothing to deal with any more.
            let _ = ask(cdp, frame).await;
        }))
        .await;
        Ok(())
    }
}

async fn ask(cdp: &Cdp, frame: &str) -> std::result::Result<(), CdpError> {
    let session = cdp.attach(frame).await?;
    let _ = evaluate(cdp, &session, "0").await;
    cdp.detach(&session).await
}
