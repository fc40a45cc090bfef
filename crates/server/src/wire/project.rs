//! Project scope. There is one project, the default one: naming it explicitly is the same as naming
//! none, and every other name is unknown.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use browserd_api::ErrorCode;
use browserd_rest::Error;
use http::HeaderMap;

const HEADERS: [&str; 2] = ["x-kernel-project", "x-kernel-project-id"];

/// Refuses requests that name a project other than the default one.
pub(crate) async fn require_default(request: Request, next: Next) -> Response {
    match unknown(request.headers()) {
        None => next.run(request).await,
        Some(header) => Error::new(
            ErrorCode::ProjectNotFound,
            format!("no project has the id or name given in {header}; leave the header out, or send default"),
        )
        .into_response(),
    }
}

pub(super) fn unknown(headers: &HeaderMap) -> Option<&'static str> {
    HEADERS.into_iter().find(|name| {
        headers.get_all(*name).iter().any(|value| {
            let value = value.as_bytes().trim_ascii();
            !value.is_empty() && !value.eq_ignore_ascii_case(b"default")
        })
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_default_project_exists() {
        let mut headers = HeaderMap::new();
        assert_eq!(unknown(&headers), None);
        headers.insert("x-kernel-project", HeaderValue::from_static("default"));
        assert_eq!(unknown(&headers), None);
        headers.insert("x-kernel-project-id", HeaderValue::from_static("proj_1"));
        assert_eq!(unknown(&headers), Some("x-kernel-project-id"));
    }
}
