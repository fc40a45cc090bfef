//! Asking a guest about its recordings. What it answers is hostile, and bounded.

use std::time::Duration;

use axum::body::Body;
use browserd_api::{ErrorBody, ErrorCode};
use browserd_fleet::LiveSession;
use browserd_rest::{Error, Result};
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, Method, Request, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::refusal;
use crate::relay::{self, GuestBody};

/// Longest answer read, bytes.
const LIMIT: usize = 16 << 10;
/// How long an answer that is not waited for on purpose may take; below the 60 s after which the
/// official SDKs give up.
const WITHIN: Duration = Duration::from_secs(40);

/// An answer.
pub(super) struct Answer(pub(super) Bytes);

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.0).map_err(|error| unanswered(&error))
    }
}

/// Asks, and answers with what the guest says; its refusals are passed on.
pub(super) async fn ask<B: Serialize>(
    app: &App,
    session: &LiveSession,
    method: Method,
    path: &str,
    body: Option<&B>,
) -> Result<Answer> {
    match tokio::time::timeout(WITHIN, ask_patiently(app, session, method, path, body)).await {
        Ok(answer) => answer,
        Err(_) => Err(unanswered(&"no answer in time")),
    }
}

/// As [`ask`], for as long as it takes.
pub(super) async fn ask_patiently<B: Serialize>(
    app: &App,
    session: &LiveSession,
    method: Method,
    path: &str,
    body: Option<&B>,
) -> Result<Answer> {
    let exchange = async {
        let (status, mut body) = send(app, session, method, path, body).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = relay::next_piece(&mut body).await {
            bytes.extend_from_slice(&piece.map_err(|error| unanswered(&error))?);
            if bytes.len() > LIMIT {
                return Err(unanswered(&"an answer without end"));
            }
        }
        if status.is_success() { Ok(Answer(bytes.into())) } else { Err(refused(&bytes)) }
    };
    tokio::select! {
        answer = exchange => answer,
        _ = session.wait_end() => Err(refusal::no_browser(session.id().as_str())),
    }
}

/// A file, as it comes.
pub(super) async fn file(
    app: &App,
    session: &LiveSession,
    path: &str,
) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + use<>> {
    let (status, body) = send::<()>(app, session, Method::GET, path, None).await?;
    if status != StatusCode::OK {
        return Err(unanswered(&status));
    }
    Ok(relay::pieces(body))
}

async fn send<B: Serialize>(
    app: &App,
    session: &LiveSession,
    method: Method,
    path: &str,
    body: Option<&B>,
) -> Result<(StatusCode, GuestBody)> {
    let mut request = Request::builder().method(method).uri(path);
    let headers = request.headers_mut();
    let body = match body {
        Some(body) => {
            if let Some(headers) = headers {
                let json = HeaderValue::from_static("application/json");
                headers.insert(header::CONTENT_TYPE, json);
            }
            Body::from(serde_json::to_vec(body).map_err(Error::internal)?)
        }
        None => Body::empty(),
    };
    let mut request = request.body(body).map_err(Error::internal)?;
    request.headers_mut().insert(header::HOST, HeaderValue::from_static(relay::GUEST_HOST));
    let answer =
        app.guests.send(session, request, None).await.map_err(|error| unanswered(&error))?;
    let (parts, body) = answer.into_parts();
    Ok((parts.status, body))
}

/// The guest's refusal as ours; never one about keys, of which it knows nothing.
pub(super) fn refused(body: &[u8]) -> Error {
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(refusal) if refusal.code != ErrorCode::Unauthorized => {
            Error::new(refusal.code, refusal::shorten(&refusal.message))
        }
        Ok(_) => unanswered(&"it refused for want of a key"),
        Err(error) => unanswered(&error),
    }
}

fn unanswered(cause: &dyn std::fmt::Display) -> Error {
    tracing::warn!(%cause, "a guest did not answer about a recording");
    Error::new(ErrorCode::UpstreamUnavailable, "the session did not answer; try again in a moment")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_does_not_judge_keys() {
        let said = |code: &str| {
            let body = serde_json::json!({ "code": code, "message": "m" }).to_string();
            refused(body.as_bytes()).0.code()
        };
        assert_eq!(said("not_found"), ErrorCode::NotFound);
        assert_eq!(said("unauthorized"), ErrorCode::UpstreamUnavailable);
    }
}
