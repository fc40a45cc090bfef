//! `POST /curl`.

use std::time::Duration;

use axum::extract::State;
use browserd_api::curl::{CurlEncoding, CurlRequest, CurlResponse};
use browserd_guest_http::refusals::{BodyRefusals, Refusals, TimeoutRefusals};
use browserd_rest::{Error, Json, Result};
use tokio::time::Instant;
use url::Url;

use super::exchange::Request;
use super::{ANSWER_BODY, Curl, failure, headers};

/// What a request may take unless it says otherwise, milliseconds.
pub(super) const TIMEOUT: u64 = 30_000;

/// Make an HTTP request through the browser's network stack.
///
/// The request is sent as the browser sends a navigation somebody typed: with the session's cookies
/// (`HttpOnly` and `SameSite` ones included), its TLS, its egress route and its cache, past the
/// service workers of pages. Cookies the answer sets are in the browser afterwards. No page is opened
/// and nothing is rendered.
///
/// `headers` are laid over the browser's own; a `Cookie` header replaces the browser's cookies for this
/// request. The browser writes `Host`, `Content-Length` and what is about the connection itself, and
/// giving one of those is 400.
///
/// Redirects are not followed: the answer is the redirect, with `Location` and without a
/// body, because Chromium reads none. Any status the target answers is a 200 here. In `headers` each name appears once, in
/// the form `Content-Type`, with all its values. `body` is decoded, so `Content-Encoding` and
/// `Content-Length` may tell of something else. An answer whose body is over 8 MiB is 413: `curl/raw`
/// streams answers of any size.
///
/// When there is no answer: 502 `transport_error` with Chromium's `net_error` and `net_error_name`; 408
/// `timeout` after `timeout_ms`. Both say `x-should-retry: false`, since the request may have been
/// carried out. At most 16 requests of a session are under way; more wait, within their timeout.
#[utoipa::path(
    post,
    path = "/curl",
    operation_id = "browsers_curl",
    tag = "browsers/curl",
    request_body = CurlRequest,
    responses(
        (status = 200, description = "The target's answer.", body = CurlResponse),
        Refusals, BodyRefusals, TimeoutRefusals,
    ),
)]
pub(super) async fn curl(
    State(curl): State<Curl>,
    Json(asked): Json<CurlRequest>,
) -> Result<axum::Json<CurlResponse>> {
    let began = Instant::now();
    let timeout = timeout(asked.timeout_ms.unwrap_or(TIMEOUT))?;
    let method = asked.method.unwrap_or_default();
    let body = asked.body.filter(|body| !body.is_empty());
    if body.is_some() && !method.takes_body() {
        let message = format!("{} has no body; use another method", method.as_str());
        return Err(Error::field("body", message));
    }
    if body.as_ref().is_some_and(|body| body.len() > super::REQUEST_BODY) {
        return Err(too_large());
    }
    let request = Request {
        url: url(&asked.url)?,
        method,
        headers: headers::checked(asked.headers.unwrap_or_default())?,
        body: body.map(Into::into),
    };
    let exchange = async {
        let _held = match &request.body {
            Some(body) => Some(curl.hold(body.len()).await),
            None => None,
        };
        let mut answer = curl.send(request).await?;
        let body = answer.body.whole(ANSWER_BODY).await?;
        Ok::<_, failure::Failure>((answer.head.status, answer.head.headers, body))
    };
    let (status, headers, body) = tokio::time::timeout(timeout, exchange)
        .await
        .map_err(|_| failure::timed_out(timeout.as_millis() as u64))??;
    let body = match asked.response_encoding.unwrap_or_default() {
        CurlEncoding::Utf8 => match String::from_utf8(body) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        },
        CurlEncoding::Base64 => base64_simd::STANDARD.encode_to_string(body),
    };
    Ok(axum::Json(CurlResponse {
        status,
        headers: headers::as_json(headers),
        body,
        duration_ms: began.elapsed().as_millis() as u64,
    }))
}

/// The time a request may take.
pub(super) fn timeout(milliseconds: u64) -> Result<Duration> {
    if !(1_000..=60_000).contains(&milliseconds) {
        return Err(Error::field("timeout_ms", "must be from 1000 to 60000"));
    }
    Ok(Duration::from_millis(milliseconds))
}

/// A URL that requests can be made to.
pub(super) fn url(text: &str) -> Result<Url> {
    let wrong = |message: String| Err(Error::field("url", message));
    let mut url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return wrong(format!("is not a URL with http:// or https:// ({error})")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return wrong(format!("must be http:// or https://, not {}:", url.scheme()));
    }
    url.set_fragment(None);
    Ok(url)
}

/// 413 about a request's body.
pub(super) fn too_large() -> Error {
    Error::new(
        browserd_api::ErrorCode::PayloadTooLarge,
        format!(
            "the body is larger than {} bytes, the most the browser is given at once",
            super::REQUEST_BODY
        ),
    )
}

impl Curl {
    /// Waits until a body of this size may be held.
    pub(super) async fn hold(&self, bytes: usize) -> Option<tokio::sync::SemaphorePermit<'_>> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        self.0.bodies.acquire_many(kib).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_web_is_asked() {
        assert_eq!(url("http://a.example/x#y").unwrap().as_str(), "http://a.example/x");
        for other in
            ["", "a.example", "/x", "file:///etc/passwd", "javascript:1", "chrome://version"]
        {
            assert!(url(other).is_err(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_harmless(text in ".*") {
            if let Ok(url) = url(&text) {
                prop_assert!(url.has_host());
            }
        }
    }
}
