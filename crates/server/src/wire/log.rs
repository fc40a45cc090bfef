//! Request ids and the access log.
//!
//! A line has the method, the route's template, the status, the time to the response's head and the
//! session, and the id of the caller's key and project. It never has a path or query as sent, because those
//! hold session tokens, and never a key. Only where there is no such route it has the path, without what is as
//! long as a token.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use browserd_api::{ErrorCode, SessionId};
use http::{HeaderName, HeaderValue};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::caller::Caller;
use crate::metrics::HttpMetrics;

/// Carries the request's id both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Put on a response by handlers that know which session it is about.
#[derive(Debug, Clone)]
pub(crate) struct AboutSession(pub(crate) SessionId);

/// Gives the request its id, runs it inside a span of that id, and logs and counts its end.
pub(crate) async fn observe(
    State(metrics): State<HttpMetrics>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = client_id(&request).unwrap_or_else(|| Uuid::new_v4().simple().to_string());
    let value = HeaderValue::from_str(&id).ok();
    if let Some(value) = &value {
        // The guest logs the same id.
        request.headers_mut().insert(REQUEST_ID, value.clone());
    }
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let nowhere = route.is_none().then(|| shown(request.uri().path()));
    // Of the level of errors, so that causes carry the id at every level at which they are logged.
    let span = tracing::error_span!("request", request_id = %id);
    let mut response = next.run(request).instrument(span).await;
    if let Some(value) = value {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let took = started.elapsed();
    metrics.count(&method, route.as_ref(), response.status(), took);
    let caller = response.extensions().get::<Caller>();
    tracing::info!(
        target: "browserd::access",
        request_id = %id,
        %method,
        route = route.as_ref().map_or("-", MatchedPath::as_str),
        path = nowhere,
        status = response.status().as_u16(),
        code = response.extensions().get::<ErrorCode>().map_or("", |code| code.as_str()),
        duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        session = response.extensions().get::<AboutSession>().map_or("", |about| about.0.as_str()),
        key = caller.map_or("", |caller| &*caller.key),
        project = caller.map_or("", |caller| caller.project.as_str()),
        "request"
    );
    response
}

/// Longest part of a path that is shown; a token is longer, and so are the names of no route.
const PART: usize = 32;
/// Most parts that are shown.
const PARTS: usize = 12;

/// A path as it may be logged. Whatever else stands in it is escaped by whoever writes the line.
fn shown(path: &str) -> String {
    let part = |part| if str::len(part) > PART { "…" } else { part };
    path.split('/').take(PARTS).map(part).collect::<Vec<_>>().join("/")
}

/// The client's own id, when it is one that is safe in logs and headers.
pub(super) fn client_id(request: &Request) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let safe = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    ((1..=128).contains(&id.len()) && id.bytes().all(safe)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn kept(id: &str) -> bool {
        let request = Request::builder().header(REQUEST_ID, id).body(Body::empty()).unwrap();
        client_id(&request).as_deref() == Some(id)
    }

    #[test]
    fn a_path_is_shown_without_tokens() {
        assert_eq!(shown("/v2/browsers/mine"), "/v2/browsers/mine");
        assert_eq!(shown(&format!("/{}/x", "t".repeat(33))), "/…/x");
        assert!(shown(&"/ab".repeat(9999)).len() < 40);
    }

    #[test]
    fn ids_of_clients_are_kept_when_they_are_safe() {
        assert!(kept("req_01H-x.y"));
        assert!(!kept(""));
        assert!(!kept("a b"));
        assert!(!kept(&"a".repeat(129)));
        assert!(!kept("a\"b"));
    }
}
