//! `POST /internal/viewport {width, height, refresh_rate?}`.

use axum::extract::State;
use browserd_api::ErrorCode;
use browserd_api::browser::Viewport;
use browserd_guest_browser::ResizeError;
use browserd_rest::{Error, Json, Result};
use http::StatusCode;

use super::Internal;

/// Gives screen and windows another size, for good; Chromium goes on running. 400 when the session's
/// screen cannot be that large.
pub(super) async fn viewport(
    State(internal): State<Internal>,
    Json(viewport): Json<Viewport>,
) -> Result<StatusCode> {
    if viewport.width == 0 || viewport.height == 0 {
        return Err(Error::field("viewport", "width and height must be positive"));
    }
    internal.browser.resize(viewport).await.map_err(|error| match error {
        ResizeError::TooLarge(..) => Error::field("viewport", error.to_string()),
        ResizeError::NoBrowser(_) => Error::new(ErrorCode::UpstreamUnavailable, error.to_string()),
        ResizeError::Cdp(_) | ResizeError::Screen(_) => Error::internal(error),
    })?;
    Ok(StatusCode::NO_CONTENT)
}
