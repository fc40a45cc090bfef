//! `/curl/raw`: any request, the answer as it comes.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request as HttpRequest, State};
use axum::response::Response;
use browserd_api::ErrorCode;
use browserd_api::curl::CurlMethod;
use browserd_guest_http::refusals::{BodyRefusals, Refusals, TimeoutRefusals};
use browserd_rest::{Error, Result, Verbatim};
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use super::answer::Answer;
use super::exchange::Request;
use super::{Curl, REQUEST_BODY, buffered, failure, headers};

/// How long a target may pause within a body.
const PAUSE: Duration = Duration::from_secs(60);

macro_rules! operations {
    ($($method:ident $name:ident $variant:ident $id:literal;)*) => {$(
        /// Extension: make an HTTP request through the browser, its answer streamed.
        ///
        /// Sends a request through the browser as `curl` does and streams the target's answer: its
        /// status, its headers and its body, decoded, of any size. `url` is the target; further
        /// parameters are added to its query, except `timeout_ms` (1000 to 60000, default 30000: until
        /// the answer's head; then the target may pause for 60 seconds at most) and `jwt`. Body (up to
        /// 4 MiB) and headers go to the target as they are; what an official SDK adds of its own does
        /// not, and neither do `Authorization`, `Cookie`, `Origin` and `Referer`, which are about this
        /// server: `POST /curl` carries those.
        ///
        /// Headers of the answer that would act on the client in this server's name are left out
        /// (CORS, policies, HSTS and the like). Three of them come under another name:
        /// `x-target-set-cookie` (the browser has the cookies), `x-target-www-authenticate`, and
        /// `x-target-location`, absolute; `Location` then leads to this route again, so that clients
        /// which follow it stay in the browser. `x-should-retry` is always `false`.
        #[utoipa::path(
            $method,
            path = "/curl/raw",
            operation_id = $id,
            tag = "browsers/curl",
            params(
                ("url" = String, Query, description = "Where to: `http` or `https`."),
                ("timeout_ms" = Option<u64>, Query, description = "How long the answer's head may take, 1000 to 60000 milliseconds."),
            ),
            responses(
                (status = 200, description = "The target's answer, whatever its status.", content_type = "*/*", body = Vec<u8>),
                Refusals, BodyRefusals, TimeoutRefusals,
            ),
        )]
        pub(super) async fn $name(State(curl): State<Curl>, request: HttpRequest) -> Result<Response> {
            relay(curl, CurlMethod::$variant, request).await
        }
    )*};
}

operations! {
    get get Get "browsers_curl_raw";
    head head Head "browsers_curl_raw_head";
    post post Post "browsers_curl_raw_post";
    put put Put "browsers_curl_raw_put";
    patch patch Patch "browsers_curl_raw_patch";
    delete delete Delete "browsers_curl_raw_delete";
    options options Options "browsers_curl_raw_options";
}

async fn relay(curl: Curl, method: CurlMethod, request: HttpRequest) -> Result<Response> {
    let began = Instant::now();
    let (url, timeout) = parameters(request.uri().query().unwrap_or_default())?;
    let exchange = async {
        let (parts, body) = request.into_parts();
        let size = body.size_hint().exact().unwrap_or(REQUEST_BODY as u64);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if size > REQUEST_BODY {
            return Err(buffered::too_large());
        }
        let _held = if size > 0 { Some(curl.hold(size).await) } else { None };
        let body = read(body).await?;
        if !body.is_empty() && !method.takes_body() {
            let message = format!("{} has no body; use another method", method.as_str());
            return Err(Error::field("body", message));
        }
        let headers = headers::for_target(&parts.headers, !body.is_empty());
        let body = (!body.is_empty()).then_some(body);
        Ok(curl.send(Request { url, method, headers, body }).await?)
    };
    let answer = tokio::time::timeout_at(began + timeout, exchange)
        .await
        .map_err(|_| failure::timed_out(timeout.as_millis() as u64))??;
    respond(answer)
}

async fn read(body: Body) -> Result<Bytes> {
    axum::body::to_bytes(body, REQUEST_BODY).await.map_err(|error| {
        let limit = std::error::Error::source(&error)
            .and_then(|cause| cause.downcast_ref::<http_body_util::LengthLimitError>())
            .is_some();
        if limit {
            buffered::too_large()
        } else {
            Error::new(ErrorCode::BadRequest, "the request body ended before it was complete")
        }
    })
}

/// The target, with the parameters that are not ours in its query, and the time it may take.
pub(super) fn parameters(query: &str) -> Result<(Url, Duration)> {
    let (mut target, mut timeout) = (None, buffered::TIMEOUT);
    let mut further = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "url" if target.is_none() => target = Some(buffered::url(&value)?),
            "url" => return Err(Error::field("url", "is there twice; which is meant?")),
            "timeout_ms" => {
                timeout = value.parse().map_err(|_| {
                    Error::field("timeout_ms", "must be a number from 1000 to 60000")
                })?;
            }
            _ => further.push((name, value)),
        }
    }
    let mut target = target.ok_or_else(|| {
        Error::field("url", "missing: the query names the target, percent-encoded")
    })?;
    if !further.is_empty() {
        target.query_pairs_mut().extend_pairs(further);
    }
    Ok((target, buffered::timeout(timeout)?))
}

fn respond(answer: Answer) -> Result<Response> {
    let status = StatusCode::from_u16(answer.head.status).map_err(Error::internal)?;
    let headers = headers::for_client(&answer.head);
    let pieces = stream::try_unfold(answer.body, async |mut body| {
        match tokio::time::timeout(PAUSE, body.next()).await {
            Ok(Ok(Some(piece))) => Ok(Some((piece, body))),
            Ok(Ok(None)) => Ok(None),
            Ok(Err(failure)) => Err(std::io::Error::other(failure)),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.extensions_mut().insert(Verbatim);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn further_parameters_are_the_targets() {
        let query = "a=1&url=http%3A%2F%2Fx.example%2Fp%3Fq%3D%2526&timeout_ms=2000&b=%20";
        let (url, timeout) = parameters(query).unwrap();
        assert_eq!(url.as_str(), "http://x.example/p?q=%26&a=1&b=+");
        assert_eq!(timeout, Duration::from_secs(2));
        for wrong in ["", "url=ftp://x", "url=http://x&timeout_ms=1", "url=http://x&url=http://y"] {
            assert!(parameters(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_harmless(query in ".*") {
            let _ = parameters(&query);
        }
    }
}
