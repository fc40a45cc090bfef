//! The page a client wants to see first. Its failure is nobody's failure: the log tells of it.

use browserd_chromium::cdp::{Cdp, CdpError};

use super::page_order::page_in_front;
use super::{Browser, Logs};

impl Browser {
    /// Sends the tab in front to a page. Answers at once.
    pub(crate) fn open_start_page(&self, url: String) {
        self.spawn(|stop| {
            let browser = self.clone();
            async move {
                tokio::select! {
                    () = open_in_front(&browser, &url) => {}
                    () = stop.cancelled() => {}
                }
            }
        });
    }
}

async fn open_in_front(browser: &Browser, url: &str) {
    let cdp = match browser.running().await {
        Ok(running) => running.cdp,
        Err(error) => return failed(browser.logs(), &error.to_string()),
    };
    let page = match page_in_front(&cdp, browser.ages()).await {
        Ok(Some(page)) => Ok(page),
        Ok(None) => cdp.open_page("about:blank").await,
        Err(error) => Err(error),
    };
    match page {
        Ok(page) => open_in(&cdp, &page, url, browser.logs()).await,
        Err(error) => failed(browser.logs(), &error.to_string()),
    }
}

/// Sends one page to `url`, and is done with it when it has arrived or failed.
pub(super) async fn open_in(cdp: &Cdp, page: &str, url: &str, logs: &Logs) {
    let opened = match cdp.attach(page).await {
        Ok(session) => {
            let opened = cdp.navigate(&session, url).await;
            // Whatever came of it: a client that attaches to the page is to be alone with it.
            let _ = cdp.detach(&session).await;
            opened
        }
        Err(error) => Err(error),
    };
    match opened {
        Ok(None) => {}
        // Chromium goes on waiting for the site, longer than we wait for Chromium.
        Err(CdpError::TimedOut { .. }) => logs.event("the start page is slow, and still loading"),
        Ok(Some(text)) => failed(logs, &text),
        Err(error) => failed(logs, &error.to_string()),
    }
}

fn failed(logs: &Logs, why: &str) {
    logs.event(&format!("the start page did not open: {why}"));
}
