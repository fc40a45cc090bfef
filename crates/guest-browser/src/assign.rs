//! A session that was started ahead of its client becomes what that client asked for, while Chromium
//! runs.

use browserd_protocol::Assignment;

use super::{Browser, ResizeError};

impl Browser {
    /// Takes over a client's wishes; a start page is on its way when this answers.
    pub async fn assign(&self, to: Assignment) -> Result<(), ResizeError> {
        if self.desired_state.viewport() != to.viewport {
            self.resize(to.viewport).await?;
        }
        if to.kiosk_mode {
            self.enter_kiosk().await?;
        }
        if let Some(url) = to.start_url {
            self.open_start_page(url).await;
        }
        Ok(())
    }
}
