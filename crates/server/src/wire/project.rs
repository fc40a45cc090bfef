//! Project scope. A key acts in one project: naming it explicitly is the same as naming none, and every
//! other name is unknown to it.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use browserd_api::{ErrorCode, ProjectId};
use browserd_rest::{Error, refusals};
use http::HeaderMap;

use crate::caller::Caller;

refusals! {
    /// Checking which project a request names.
    pub(crate) RequireProject: ProjectNotFound;
}

const HEADERS: [&str; 2] = ["x-kernel-project", "x-kernel-project-id"];

/// What the project that is always there is called.
const DEFAULT: &[u8] = b"default";

/// Refuses requests that name a project other than the caller's.
pub(crate) async fn require_own(caller: Caller, request: Request, next: Next) -> Response {
    match unknown(request.headers(), &caller.project) {
        None => next.run(request).await,
        Some(header) => Error::new(
            ErrorCode::ProjectNotFound,
            format!("no project has the id or name given in {header}; leave the header out, or send default"),
        )
        .into_response(),
    }
}

/// The header that names a project other than `own`.
pub(super) fn unknown(headers: &HeaderMap, own: &ProjectId) -> Option<&'static str> {
    let named = |value: &[u8]| {
        value == own.as_str().as_bytes() || own.is_default() && value.eq_ignore_ascii_case(DEFAULT)
    };
    HEADERS.into_iter().find(|name| {
        headers.get_all(*name).iter().any(|value| {
            let value = value.as_bytes().trim_ascii();
            !value.is_empty() && !named(value)
        })
    })
}

/// Whether a request that may pass ([`require_own`]) names its project.
pub(crate) fn is_named(headers: &HeaderMap) -> bool {
    let mut values = HEADERS.into_iter().flat_map(|name| headers.get_all(name));
    values.any(|value| !value.as_bytes().trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_caller_knows_its_own_project_only() {
        let (default, other) = (ProjectId::default(), ProjectId::generate());
        let mut headers = HeaderMap::new();
        assert_eq!(unknown(&headers, &default), None);
        assert_eq!(unknown(&headers, &other), None);
        assert!(!is_named(&headers));
        headers.insert("x-kernel-project", HeaderValue::from_static(" "));
        assert!(!is_named(&headers));
        headers.insert("x-kernel-project", HeaderValue::from_static("Default"));
        assert!(is_named(&headers));
        assert_eq!(unknown(&headers, &default), None);
        assert_eq!(unknown(&headers, &other), Some("x-kernel-project"));
        let id = HeaderValue::from_str(other.as_str()).unwrap();
        headers.insert("x-kernel-project", id.clone());
        headers.insert("x-kernel-project-id", id);
        assert_eq!(unknown(&headers, &other), None);
        assert_eq!(unknown(&headers, &default), Some("x-kernel-project"));
        headers.insert("x-kernel-project-id", HeaderValue::from_static("proj_1"));
        assert_eq!(unknown(&headers, &other), Some("x-kernel-project-id"));
    }
}
