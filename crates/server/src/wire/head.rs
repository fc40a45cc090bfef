//! The bound on a request's head.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use browserd_api::ErrorCode;
use browserd_rest::{Error, refusals};

refusals! {
    /// Checking the length of a request's head.
    pub(crate) BoundHead: HeadersTooLarge;
}

/// Longest head answered in words, bytes. The parser itself gives up at [`PARSER_LIMIT`], with a bare
/// status.
pub(crate) const HEAD_LIMIT: usize = 64 << 10;

/// Longest head the parser buffers, bytes.
pub(crate) const PARSER_LIMIT: usize = 128 << 10;

/// Refuses heads over [`HEAD_LIMIT`].
pub(crate) async fn bound(request: Request, next: Next) -> Response {
    let line = request.uri().path().len() + request.uri().query().map_or(0, str::len);
    let fields = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        name.as_str().len() + value.len() + 4
    };
    let size = line + request.headers().iter().map(fields).sum::<usize>();
    if size > HEAD_LIMIT {
        return Error::new(
            ErrorCode::HeadersTooLarge,
            format!("the request's head has {size} bytes; at most {HEAD_LIMIT} are taken"),
        )
        .into_response();
    }
    next.run(request).await
}
