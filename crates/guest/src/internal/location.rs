//! `POST /internal/location {timezone, locale}`.

use axum::extract::State;
use browserd_api::ErrorCode;
use browserd_guest_browser::RelocateError;
use browserd_guest_session::location::Location;
use browserd_rest::{Error, Json, Result};
use http::StatusCode;

use super::Internal;

/// Moves the session to another time zone and language, for good; Chromium goes on running. Answers
/// once its pages see it.
pub(super) async fn location(
    State(internal): State<Internal>,
    Json(location): Json<Location>,
) -> Result<StatusCode> {
    let browser = internal.browser;
    // A task, so that it is finished, and cleared away after, when the caller is gone.
    let moved = tokio::spawn(async move { browser.relocate(location).await });
    moved.await.map_err(Error::internal)?.map_err(|error| match error {
        RelocateError::UnknownZone => Error::field("location.timezone", error.to_string()),
        RelocateError::FixedLanguage => Error::field("location.locale", error.to_string()),
        RelocateError::NoBrowser(_) | RelocateError::NotTaken => {
            Error::new(ErrorCode::UpstreamUnavailable, error.to_string())
        }
        RelocateError::Cdp(_) | RelocateError::Files(_) => Error::internal(error),
    })?;
    Ok(StatusCode::NO_CONTENT)
}
