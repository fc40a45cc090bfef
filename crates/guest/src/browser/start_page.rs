//! The page a client wants to see first.

use browserd_chromium::cdp::CdpError;

use super::{Browser, active_page};

impl Browser {
    /// Sends the tab in front to a page. Answers at once; whether the page opens is nobody's failure.
    pub(crate) fn open_start_page(&self, url: String) {
        self.spawn(|stop| {
            let browser = self.clone();
            async move {
                tokio::select! {
                    opened = open(&browser, &url) => {
                        let failure = match opened {
                            Ok(None) => return,
                            Ok(Some(text)) => text,
                            Err(error) => error,
                        };
                        browser.logs().event(&format!("the start page did not open: {failure}"));
                    }
                    () = stop.cancelled() => {}
                }
            }
        });
    }
}

/// Answers Chromium's reason when the page did not open.
async fn open(browser: &Browser, url: &str) -> Result<Option<String>, String> {
    let running = browser.running().await.map_err(|error| error.to_string())?;
    let cdp = running.cdp;
    let navigate = async {
        let page = match active_page(&cdp).await? {
            Some(page) => page,
            None => cdp.open_page("about:blank").await?,
        };
        let session = cdp.attach(&page).await?;
        let navigated = cdp.navigate(&session, url).await;
        // Whatever came of it: a client that attaches to the page is to be alone with it.
        let _ = cdp.detach(&session).await;
        navigated
    };
    match navigate.await {
        // Chromium goes on waiting for the site, longer than we wait for Chromium.
        Err(CdpError::TimedOut { .. }) => Ok(Some("it is slow, and still loading".to_owned())),
        other => other.map_err(|error| error.to_string()),
    }
}
