//! The page a client wants to see first. If it does not load, the session goes on and the log says why.
//!
//! Whoever asks for it is answered when Chromium has chosen the tab and is on its way there: a client
//! that is answered may open a tab or send one elsewhere at once, and nothing of ours comes after it.

use std::sync::Arc;

use browserd_chromium::cdp::{Cdp, CdpError};
use futures_util::future::join;
use tokio::sync::oneshot;

use super::page_order::page_in_front;
use super::{Browser, Logs};

impl Browser {
    /// Sends the tab in front to a page. Answers when Chromium is on its way there, or is known not
    /// to go.
    pub async fn open_start_page(&self, url: String) {
        let (begins, begun) = oneshot::channel();
        self.spawn(|stop| {
            let browser = self.clone();
            async move {
                tokio::select! {
                    () = open_in_front(&browser, &url, begins) => {}
                    () = stop.cancelled() => {}
                }
            }
        });
        // Dropped: it does not go.
        let _ = begun.await;
    }
}

async fn open_in_front(browser: &Browser, url: &str, begins: oneshot::Sender<()>) {
    let cdp = match browser.running().await {
        Ok(running) => running.cdp,
        Err(error) => return failed(browser.logs(), &error.to_string()),
    };
    let page = match page_in_front(&cdp, browser.open_order()).await {
        Ok(Some(page)) => Ok(page),
        Ok(None) => cdp.open_page("about:blank").await,
        Err(error) => Err(error),
    };
    match page {
        Ok(page) => open_in(&cdp, &page, url, browser.logs(), begins).await,
        Err(error) => failed(browser.logs(), &error.to_string()),
    }
}

/// As [`Browser::open_start_page`], in a page that is known, of a browser that has just started.
pub(super) async fn open_first(cdp: &Cdp, page: String, url: String, logs: &Arc<Logs>) {
    let (begins, begun) = oneshot::channel();
    let (cdp, logs) = (cdp.clone(), Arc::clone(logs));
    tokio::spawn(async move { open_in(&cdp, &page, &url, &logs, begins).await });
    let _ = begun.await;
}

/// Sends one page to `url`, and is done with it when it has arrived or failed. `begins` is told, or
/// dropped, once Chromium is on its way or is known not to go.
async fn open_in(cdp: &Cdp, page: &str, url: &str, logs: &Logs, begins: oneshot::Sender<()>) {
    let opened = match cdp.attach(page).await {
        Ok(session) => {
            // Chromium takes commands in turn: it answers the second when it has begun with the first.
            let on_its_way = async {
                let _ = cdp.version().await;
                let _ = begins.send(());
            };
            let (opened, ()) = join(cdp.navigate(&session, url), on_its_way).await;
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
