//! Requests of our own to a session's guest.

use std::future::poll_fn;
use std::io;

use axum::body::Body;
use browserd_api::{ApiError, ErrorBody, ErrorCode};
use browserd_fleet::LiveSession;
use browserd_rest::Error;
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::Value;

use super::{GUEST_HOST, GuestBody, unanswered};
use crate::app::App;
use crate::refusal;

/// Longest answer read, bytes.
const ANSWER_LIMIT: usize = 64 << 10;

/// Asks the guest to do something at one of its internal routes, and passes on its refusal.
pub(crate) async fn ask(
    app: &App,
    session: &LiveSession,
    path: &str,
    body: &Value,
) -> Result<(), Error> {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .body(Body::from(body.to_string()))
        .map_err(Error::internal)?;
    carry_out(app, session, request).await
}

/// Sends a request of our own to the guest, waits until it is carried out, and passes on its refusal.
pub(crate) async fn carry_out(
    app: &App,
    session: &LiveSession,
    mut request: Request<Body>,
) -> Result<(), Error> {
    request.headers_mut().insert(header::HOST, HeaderValue::from_static(GUEST_HOST));
    let _activity = session.activity();
    let answer = tokio::select! {
        biased;
        answer = app.guests.send(session, request, None) => answer,
        _ = session.wait_end() => return Err(refusal::no_browser(session.id().as_str())),
    };
    let answer = match answer {
        Ok(answer) => answer,
        // What is asked here sets a state, so asking again does no harm.
        Err(error) => {
            return Err(unanswered(session, ErrorCode::UpstreamUnavailable, &error).await);
        }
    };
    let (parts, mut body) = answer.into_parts();
    let mut text = Vec::new();
    while let Some(Ok(piece)) = next_piece(&mut body).await {
        text.extend_from_slice(&piece);
        if text.len() > ANSWER_LIMIT {
            break;
        }
    }
    if parts.status.is_success() { Ok(()) } else { Err(refused(parts.status, &text)) }
}

/// A guest's answer, piece by piece as it comes. One that breaks off ends with an error.
pub(crate) fn pieces(body: GuestBody) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures_util::stream::unfold(Some(body), |body| async {
        let mut body = body?;
        match next_piece(&mut body).await? {
            Ok(piece) => Some((Ok(piece), Some(body))),
            Err(error) => Some((Err(io::Error::other(error)), None)),
        }
    })
}

/// The next piece of a guest's answer; trailers are passed over.
pub(crate) async fn next_piece(body: &mut GuestBody) -> Option<hyper::Result<Bytes>> {
    loop {
        match poll_fn(|cx| body.poll_frame(cx)).await? {
            Ok(frame) => {
                if let Ok(piece) = frame.into_data() {
                    return Some(Ok(piece));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

/// The guest's refusal, if it is one of ours in form; what else it may say stays in the log.
pub(super) fn refused(status: StatusCode, text: &[u8]) -> Error {
    match serde_json::from_slice::<ErrorBody>(text) {
        Ok(body)
            if body.code.status() == status.as_u16() && body.code != ErrorCode::Unauthorized =>
        {
            let mut error = ApiError::new(body.code, body.message);
            for detail in body.details {
                error = error.detail(detail.code, detail.message);
            }
            Error(error)
        }
        _ => {
            tracing::warn!(%status, "the guest refused in a form of its own");
            Error::new(
                ErrorCode::UpstreamUnavailable,
                "the session's guest could not do this; try again in a moment",
            )
        }
    }
}
