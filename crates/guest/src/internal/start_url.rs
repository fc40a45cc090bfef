//! `POST /internal/start_url {url}`.

use axum::extract::State;
use browserd_chromium::cdp::CdpError;
use browserd_rest::{Json, Result};
use http::StatusCode;
use serde::Deserialize;

use super::Internal;
use crate::browser::{Browser, active_page};

#[derive(Debug, Deserialize)]
pub(super) struct StartUrl {
    url: String,
}

/// Sends the tab in front to a page. Answers at once; whether the page opens is nobody's failure.
pub(super) async fn start_url(
    State(internal): State<Internal>,
    Json(asked): Json<StartUrl>,
) -> Result<StatusCode> {
    internal.browser.spawn({
        let browser = internal.browser.clone();
        |stop| async move {
            tokio::select! {
                opened = open(&browser, &asked.url) => {
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
    Ok(StatusCode::NO_CONTENT)
}

/// Answers Chromium's reason when the page did not open.
async fn open(browser: &Browser, url: &str) -> std::result::Result<Option<String>, String> {
    let running = browser.running().await.map_err(|error| error.to_string())?;
    let cdp = running.cdp;
    let navigate = async {
        let page = match active_page(&cdp).await? {
            Some(page) => page,
            None => cdp.open_page("about:blank").await?,
        };
        let session = cdp.attach(&page).await?;
        let navigated = cdp.navigate(&session, url).await;
        let _ = cdp.detach(&session).await;
        navigated
    };
    navigate.await.map_err(|error: CdpError| error.to_string())
}
