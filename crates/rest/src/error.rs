//! `ApiError` as an HTTP response.

use axum::response::{IntoResponse, Response};
use browserd_api::{ApiError, ErrorCode};
use http::{HeaderValue, StatusCode, header};

/// The error of every handler: an [`ApiError`], turned into a response in one place.
#[derive(Debug)]
pub struct Error(pub ApiError);

impl Error {
    /// A refusal with a message for the client.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ApiError::new(code, message))
    }

    /// 400 `invalid_input` about one field.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self(ApiError::field(field, message))
    }

    /// 500 whose cause stays in the log.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new(
            ErrorCode::Internal,
            "something went wrong on our side; the server's log has the cause under this request's x-request-id",
        )
    }
}

impl From<ApiError> for Error {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let code = self.0.code();
        let status =
            StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.0.body())).into_response();
        let headers = response.headers_mut();
        if matches!(status.as_u16(), 408 | 409 | 429 | 500..) {
            let retry = if code.retryable() { "true" } else { "false" };
            headers.insert("x-should-retry", HeaderValue::from_static(retry));
        }
        if code == ErrorCode::Unauthorized {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"browserd\""),
            );
        }
        if matches!(
            code,
            ErrorCode::TooManyRequests
                | ErrorCode::CapacityExhausted
                | ErrorCode::ShuttingDown
                | ErrorCode::DatabaseUnavailable
        ) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(code);
        response
    }
}
