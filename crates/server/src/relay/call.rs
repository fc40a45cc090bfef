//! Requests of our own to a session's guest. Every one of them goes this way, has a deadline, and fails
//! with a [`CallError`], which is turned into a refusal in one place.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use axum::body::Body;
use browserd_api::{ApiError, ErrorBody, ErrorCode};
use browserd_fleet::{LiveSession, StepError};
use browserd_rest::Error;
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, Method, Request, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::client::Answer;
use super::{GUEST_HOST, GuestBody, Guests, SendError, unanswered};
use crate::refusal;

/// Longest answer read, bytes.
const ANSWER_LIMIT: usize = 64 << 10;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The session is over.
    #[error("the session has ended")]
    Ended,
    /// The guest refused, in words for the client. Nothing was done, unless the refusal says that
    /// something failed on the way.
    #[error("the guest refused: {0:?}")]
    Refused(Box<ApiError>),
    /// The guest says something that is no answer.
    #[error("the guest answered {0} in a form of its own")]
    Misspoken(StatusCode),
    /// The guest takes no connections; nothing was done.
    #[error("the guest takes no connections: {0}")]
    Unreachable(io::Error),
    /// The connection broke under the call, which may have been carried out.
    #[error("the connection to the guest broke: {0}")]
    Broken(hyper::Error),
    /// The deadline passed. The call may have been carried out, or may yet be.
    #[error("the guest did not answer within {} s", .0.as_secs())]
    Late(Duration),
}

impl From<SendError> for CallError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Connect(error) => Self::Unreachable(error),
            SendError::Http(error) => Self::Broken(error),
        }
    }
}

impl CallError {
    /// Whether the guest may have done what it was asked for, wholly or in part.
    pub(crate) fn maybe_done(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.code() == ErrorCode::Internal,
            Self::Misspoken(status) => !status.is_client_error(),
            Self::Broken(_) | Self::Late(_) => true,
            Self::Ended | Self::Unreachable(_) => false,
        }
    }

    /// What the fleet is told of it.
    pub(crate) async fn step(self, session: &LiveSession) -> StepError {
        let maybe_done = self.maybe_done();
        StepError { refusal: self.refusal(session).await.0, maybe_done }
    }

    /// What a client hears of it.
    pub(crate) async fn refusal(self, session: &LiveSession) -> Error {
        match self {
            Self::Ended => refusal::ended(session),
            Self::Refused(refusal) => Error(*refusal),
            Self::Misspoken(_) => {
                tracing::warn!(session = %session.id(), error = %self, "a call to the guest failed");
                Error::new(
                    ErrorCode::UpstreamUnavailable,
                    "the session's guest could not do this; try again in a moment",
                )
            }
            // What is asked here sets a state, so asking again does no harm.
            Self::Unreachable(_) | Self::Broken(_) | Self::Late(_) => {
                unanswered(session, ErrorCode::UpstreamUnavailable, &self).await
            }
        }
    }
}

/// A request of our own to a guest.
pub(crate) struct Call {
    request: Result<Request<Body>, String>,
    within: Duration,
}

impl Call {
    /// Asks for something. To be answered `within` that time, as every call.
    pub(crate) fn get(path: &str, within: Duration) -> Self {
        Self::new(Method::GET, path, within)
    }

    /// Has something done.
    pub(crate) fn post(path: &str, within: Duration) -> Self {
        Self::new(Method::POST, path, within)
    }

    /// Puts something there.
    pub(crate) fn put(path: &str, within: Duration) -> Self {
        Self::new(Method::PUT, path, within)
    }

    /// Takes something away.
    pub(crate) fn delete(path: &str, within: Duration) -> Self {
        Self::new(Method::DELETE, path, within)
    }

    fn new(method: Method, path: &str, within: Duration) -> Self {
        let request = Request::builder().method(method).uri(path);
        let request =
            request.header(header::HOST, HeaderValue::from_static(GUEST_HOST)).body(Body::empty());
        Self { request: request.map_err(|error| error.to_string()), within }
    }

    /// With a body of JSON.
    pub(crate) fn json(self, body: &impl Serialize) -> Self {
        let text = match serde_json::to_vec(body) {
            Ok(text) => text,
            Err(error) => return Self { request: Err(error.to_string()), ..self },
        };
        self.body("application/json", None, Body::from(text))
    }

    /// With a body of so many bytes, which are sent as they come.
    pub(crate) fn stream<S>(self, content_type: &'static str, length: u64, bytes: S) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        self.body(content_type, Some(length), Body::from_stream(bytes))
    }

    fn body(mut self, content_type: &'static str, length: Option<u64>, body: Body) -> Self {
        if let Ok(request) = &mut self.request {
            let headers = request.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
            headers.extend(length.map(|length| (header::CONTENT_LENGTH, length.into())));
            *request.body_mut() = body;
        }
        self
    }
}

/// The whole answer to a call.
#[derive(Debug)]
pub(crate) struct Answered(pub(crate) Bytes);

impl Answered {
    /// What it says.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.0).map_err(|_| CallError::Misspoken(StatusCode::OK))
    }
}

impl Guests {
    /// Calls the guest of a session that runs, and waits until it has answered or the session is over.
    /// One that is suspended goes on for it; it does not count as use.
    pub(crate) async fn call(
        &self,
        session: &LiveSession,
        call: Call,
    ) -> Result<Answered, CallError> {
        let within = call.within;
        let exchange = async {
            let (parts, mut body) = self.begin(session, call).await?.into_parts();
            let text = whole(&mut body).await?;
            match parts.status.is_success() {
                true => Ok(Answered(text.into())),
                false => Err(refused(parts.status, &text)),
            }
        };
        tokio::select! {
            biased;
            answered = tokio::time::timeout(within, exchange) => {
                answered.unwrap_or(Err(CallError::Late(within)))
            }
            _ = session.wait_end() => Err(CallError::Ended),
        }
    }

    /// Calls a guest that answers with a file, also that of a session that is over for clients. The
    /// deadline is for the answer's head, and then for each piece.
    pub(crate) async fn fetch(
        &self,
        session: &LiveSession,
        call: Call,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, CallError> {
        let within = call.within;
        let exchange = async {
            let (parts, mut body) = self.begin(session, call).await?.into_parts();
            match parts.status.is_success() {
                true => Ok(body),
                false => Err(refused(parts.status, &whole(&mut body).await?)),
            }
        };
        let body = tokio::time::timeout(within, exchange).await;
        Ok(pieces(body.unwrap_or(Err(CallError::Late(within)))?, within))
    }

    async fn begin(&self, session: &LiveSession, call: Call) -> Result<Answer, CallError> {
        let request = call.request.map_err(|error| {
            tracing::error!(session = %session.id(), error, "a call to the guest cannot be put in words");
            CallError::Refused(Box::new(Error::internal(error).0))
        })?;
        let _wake_lock = session.wake_lock();
        Ok(self.send(session, request, None).await?)
    }
}

/// All of an answer's body, as far as it is bounded.
async fn whole(body: &mut GuestBody) -> Result<Vec<u8>, CallError> {
    let mut text = Vec::new();
    while let Some(piece) = next_piece(body).await {
        text.extend_from_slice(&piece.map_err(CallError::Broken)?);
        if text.len() > ANSWER_LIMIT {
            return Err(CallError::Misspoken(StatusCode::PAYLOAD_TOO_LARGE));
        }
    }
    Ok(text)
}

/// A guest's answer, piece by piece as it comes. One that breaks off, or of which the next piece does
/// not come in time, ends with an error.
fn pieces(
    body: GuestBody,
    within: Duration,
) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    futures_util::stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout(within, next_piece(&mut body)).await {
            Ok(piece) => match piece? {
                Ok(piece) => Some((Ok(piece), Some(body))),
                Err(error) => Some((Err(io::Error::other(error)), None)),
            },
            Err(_) => Some((Err(io::ErrorKind::TimedOut.into()), None)),
        }
    })
}

/// The next piece of a guest's answer; trailers are passed over.
async fn next_piece(body: &mut GuestBody) -> Option<hyper::Result<Bytes>> {
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

/// The guest's refusal, if it is one of ours in form; never one about keys, of which it knows nothing.
pub(super) fn refused(status: StatusCode, text: &[u8]) -> CallError {
    match serde_json::from_slice::<ErrorBody>(text) {
        Ok(body)
            if body.code.status() == status.as_u16() && body.code != ErrorCode::Unauthorized =>
        {
            let mut error = ApiError::new(body.code, refusal::shorten(&body.message));
            for detail in body.details {
                error = error.detail(detail.code, detail.message);
            }
            CallError::Refused(Box::new(error))
        }
        _ => CallError::Misspoken(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: &str, status: u16) -> CallError {
        let body = serde_json::json!({ "code": code, "message": "m" }).to_string();
        refused(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn a_guest_does_not_judge_keys() {
        assert!(
            matches!(said("not_found", 404), CallError::Refused(error) if error.code() == ErrorCode::NotFound)
        );
        assert!(matches!(said("unauthorized", 401), CallError::Misspoken(_)));
        assert!(matches!(said("not_found", 200), CallError::Misspoken(_)));
    }

    #[test]
    fn what_may_have_been_done_is_told_from_what_was_not() {
        assert!(!said("invalid_input", 400).maybe_done());
        assert!(!said("upstream_unavailable", 502).maybe_done());
        assert!(said("internal", 500).maybe_done());
        assert!(CallError::Late(Duration::ZERO).maybe_done());
        assert!(!CallError::Unreachable(io::Error::other("x")).maybe_done());
    }
}
