//! `POST /internal/start_url {url}`.

use axum::extract::State;
use browserd_rest::{Json, Result};
use http::StatusCode;
use serde::Deserialize;

use super::Internal;

#[derive(Debug, Deserialize)]
pub(super) struct StartUrl {
    url: String,
}

/// Sends the tab in front to a page. Answers when Chromium is on its way there; a page that
/// does not open is only logged.
pub(super) async fn start_url(
    State(internal): State<Internal>,
    Json(asked): Json<StartUrl>,
) -> Result<StatusCode> {
    internal.browser.open_start_page(asked.url).await;
    Ok(StatusCode::NO_CONTENT)
}
