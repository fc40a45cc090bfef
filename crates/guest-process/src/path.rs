//! The process id in a path.

use axum::extract::{FromRequestParts, RawPathParams};
use browserd_api::{ApiError, ErrorCode, ProcessId};
use browserd_rest::Error;
use http::request::Parts;

/// The `process_id` of the path.
#[derive(Debug)]
pub(super) struct Id(pub(super) ProcessId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let text = params.as_ref().ok().and_then(|params| {
            params.iter().find(|(name, _)| *name == "process_id").map(|(_, value)| value)
        });
        text.and_then(|text| text.parse().ok()).map(Self).ok_or_else(|| {
            let message = "is not a UUID, as spawn answers it";
            let whole = format!("process_id {message}");
            Error(ApiError::new(ErrorCode::BadRequest, whole).detail("process_id", message))
        })
    }
}
