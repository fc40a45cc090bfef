//! Answers where no handler answers: unknown paths, wrong methods, and the few refusals the
//! framework itself makes, all in the one shape.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use browserd_api::ErrorCode;
use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE};

use crate::Error;

/// 404 `route_not_found`.
pub async fn route_not_found(request: Request) -> Error {
    Error::new(
        ErrorCode::RouteNotFound,
        format!(
            "no route has the path {}; GET /spec.json describes what there is",
            request.uri().path()
        ),
    )
}

/// 405 `method_not_allowed`; the router adds `Allow`.
pub async fn method_not_allowed(request: Request) -> Error {
    Error::new(
        ErrorCode::MethodNotAllowed,
        format!(
            "{} does not take {}; the Allow header lists what it takes",
            request.uri().path(),
            request.method()
        ),
    )
}

/// Put on a response that is somebody else's: its status and body are passed on as they are, even
/// where they look like a refusal of the framework's.
#[derive(Debug, Clone, Copy)]
pub struct Verbatim;

/// Middleware: turns a refusal made by the framework (plain text, no code) into the one shape.
pub async fn envelope(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let refusal = status.is_client_error() || status.is_server_error();
    if !refusal || response.extensions().get::<Verbatim>().is_some() {
        return response;
    }
    let json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|t| t.as_bytes().starts_with(b"application/json"));
    if json {
        return response;
    }
    let code = match status {
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        StatusCode::UPGRADE_REQUIRED => ErrorCode::UpgradeRequired,
        s if s.is_client_error() => ErrorCode::BadRequest,
        _ => return response,
    };
    let allow = response.headers().get(ALLOW).cloned();
    let text = axum::body::to_bytes(response.into_body(), 4096).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let message = if text.trim().is_empty() { "the request is not valid".into() } else { text };
    let mut response = Error::new(code, message).into_response();
    if let Some(allow) = allow {
        response.headers_mut().insert(ALLOW, allow);
    }
    response.map(Body::new)
}
