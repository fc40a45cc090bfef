//! Requests for a session's guest, relayed unread.
//!
//! Owns the way there and back: which headers cross, keep-alive connections, what a client hears
//! when the guest does not answer. Knows no operation: bodies stream both ways, and whether a
//! request makes sense is the guest's to say. Everything that comes back is hostile.

mod call;
mod client;
mod file;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod headers;

#[cfg(any(test, fuzzing))]
pub(crate) use call::Answered;
pub(crate) use call::{Call, CallError};
use client::Answer;
pub(crate) use client::{GuestBody, Guests, SendError};
pub(crate) use headers::harden;

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use browserd_api::ErrorCode;
use browserd_api::browser::EndReason;
use browserd_fleet::{Activity, ByteStream, LiveSession};
use browserd_protocol::FileOffer;
use browserd_rest::{Error, refusals};
use bytes::Bytes;
use http::{Method, StatusCode, Uri, Version, header};
use http_body::{Frame, SizeHint};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;

use crate::caller::Sessions;
use crate::token::TokenSession;
use crate::tunnel::{self, Inside, Kind, Tunnels, Upgrade, WebSocketRequest};
use crate::wire::linger::Whole;
use crate::wire::log::AboutSession;
use crate::{query, refusal};

refusals! {
    /// Sending a request to a session's guest.
    pub(crate) RelayRequest: BadRequest, BrowserNotFound, OutcomeUnknown, UpstreamUnavailable, ShuttingDown;
}

/// Where direct routing begins.
pub(crate) const DIRECT: &str = "/browser/kernel";

/// Where the guest streams what a web server answered.
const RAW: &str = "/curl/raw";

/// Host header of every request to a guest.
pub(crate) const GUEST_HOST: &str = "guest.session";

/// `/browsers/{id_or_name}/…` with an API key.
pub(crate) async fn by_key(
    State(relay): State<Relay>,
    sessions: Sessions,
    request: Request,
) -> Response {
    let relayed = async {
        let rest = request.uri().path().strip_prefix("/browsers/").unwrap_or_default();
        let (id_or_name, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let id_or_name = percent_decode_str(id_or_name).decode_utf8().map_err(|_| {
            Error::new(ErrorCode::BadRequest, "the id or name in the path is not UTF-8")
        })?;
        let session = sessions.reach(&id_or_name).await.map_err(refusal::from_fleet)?;
        let target = query::join(path, request.uri().query().unwrap_or_default());
        relay.forward(&session, &target, request, None).await
    };
    relayed.await.unwrap_or_else(IntoResponse::into_response)
}

/// `/browser/kernel/…?jwt=` without one.
pub(crate) async fn by_token(
    State(relay): State<Relay>,
    token: TokenSession,
    request: Request,
) -> Response {
    let path = request.uri().path().strip_prefix(DIRECT).unwrap_or_default();
    let target = query::join(path, &token.query);
    relay
        .forward(&token.live, &target, request, None)
        .await
        .unwrap_or_else(IntoResponse::into_response)
}

/// What requests are relayed over. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Relay {
    guests: Guests,
    tunnels: Tunnels,
}

impl Relay {
    /// Over kept connections to guests, and tunnels for what is upgraded.
    pub(crate) fn new(guests: Guests, tunnels: Tunnels) -> Self {
        Self { guests, tunnels }
    }

    /// Sends `request` to the guest's `target` (path and query) and answers with what it answers.
    /// `extra` is a header of ours for the guest.
    pub(crate) async fn forward(
        &self,
        session: &LiveSession,
        target: &str,
        mut request: Request,
        extra: Option<(http::HeaderName, http::HeaderValue)>,
    ) -> Result<Response, Error> {
        let activity = session.activity();
        let websocket = tunnel::asks(request.headers())
            .then(|| WebSocketRequest::read(request.method(), request.headers()))
            .transpose()?;
        let upgrade = websocket.is_some().then(|| Upgrade::of(&mut request));
        let whole = request.extensions().get::<Whole>().cloned();
        let voice = Voice::of(target, &request);
        let mut outgoing = headers::to_guest(request.headers(), websocket.is_some());
        outgoing.insert(header::HOST, header::HeaderValue::from_static(GUEST_HOST));
        outgoing.extend(extra);
        let takes_files = request.method() == Method::GET && matches!(voice, Voice::Guest);
        if takes_files {
            file::take(&mut outgoing);
        }

        let uri = Uri::builder().path_and_query(target).build();
        let (parts, body) = request.into_parts();
        let repeatable = parts.method.is_safe();
        let mut inner = Request::new(body);
        *inner.method_mut() = parts.method;
        *inner.uri_mut() =
            uri.map_err(|_| Error::new(ErrorCode::BadRequest, "the path cannot be relayed"))?;
        *inner.version_mut() = Version::HTTP_11;
        *inner.headers_mut() = outgoing;

        let answer = tokio::select! {
            biased;
            answer = self.guests.send(session, inner, whole) => answer,
            _ = session.wait_end() => return Err(refusal::ended(session)),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error @ SendError::Http(_)) if !repeatable => {
                return Err(unanswered(session, ErrorCode::OutcomeUnknown, &error).await);
            }
            Err(error) => {
                return Err(unanswered(session, ErrorCode::UpstreamUnavailable, &error).await);
            }
        };
        if answer.refuses_early() {
            let (mut parts, body) = answer.cut_short().await;
            parts.headers.remove(header::CONTENT_LENGTH);
            return Ok(hardened(session, &parts, &voice, Body::from(body)));
        }
        let (status, headers) = (answer.response.status(), answer.response.headers());
        if let Some(offer) = file::offered(status, headers).filter(|_| takes_files) {
            return from_file(session, answer, offer, activity).await;
        }
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(from_guest(session, answer, &voice, activity));
        }
        let Some(upgrade) = upgrade else {
            let cause = "the guest switched protocols unasked";
            return Err(unanswered(session, ErrorCode::UpstreamUnavailable, cause).await);
        };
        let (headers, upgraded) = match answer.upgrade().await {
            Ok(upgraded) => upgraded,
            Err(error) => {
                return Err(unanswered(session, ErrorCode::UpstreamUnavailable, &error).await);
            }
        };
        let Ok(guest) = upgraded.downcast::<TokioIo<ByteStream>>() else {
            return Err(Error::internal("an upgraded guest connection was none of ours"));
        };
        let inside = Inside {
            kind: Kind::Guest,
            stream: guest.io.into_inner(),
            leftover: guest.read_buf,
            headers: headers::handshake(&headers),
        };
        Ok(self.tunnels.accept(session, upgrade, inside))
    }
}

/// Whose headers an answer has.
enum Voice {
    /// The guest's own.
    Guest,
    /// A web server's; with the token the client came with, if it came with one.
    Target(Option<String>),
}

impl Voice {
    fn of(target: &str, request: &Request) -> Self {
        if target.split('?').next() != Some(RAW) {
            return Self::Guest;
        }
        let direct = request.uri().path().starts_with(DIRECT);
        let token = direct.then(|| query::take_jwt(request.uri().query().unwrap_or_default()).0);
        Self::Target(token.flatten())
    }
}

/// The guest's answer, with only the headers that may cross.
fn from_guest(
    session: &LiveSession,
    answer: Answer,
    voice: &Voice,
    activity: Activity,
) -> Response {
    let (parts, body) = answer.into_parts();
    // A body of known length is on its way already. An endless one would outlive its session for as
    // long as the guest takes to die.
    let ended = body.size_hint().exact().is_none().then(|| {
        let session = session.clone();
        Box::pin(async move { session.wait_end().await }) as SessionEnd
    });
    hardened(session, &parts, voice, Body::new(Relayed { body, ended, _activity: activity }))
}

/// The guest's answer with the file it offers for a body.
async fn from_file(
    session: &LiveSession,
    answer: Answer,
    offer: FileOffer,
    activity: Activity,
) -> Result<Response, Error> {
    // Nothing follows the head, so its connection is free again.
    let (mut parts, _) = answer.into_parts();
    let body = match file::body(session, offer, activity).await {
        Ok(body) => body,
        Err(error) => {
            return Err(unanswered(session, ErrorCode::UpstreamUnavailable, &error).await);
        }
    };
    parts.headers.insert(header::CONTENT_LENGTH, offer.length().into());
    Ok(hardened(session, &parts, &Voice::Guest, body))
}

/// A response of the guest's with what may cross of it.
fn hardened(
    session: &LiveSession,
    parts: &http::response::Parts,
    voice: &Voice,
    body: Body,
) -> Response {
    if parts.status == StatusCode::INTERNAL_SERVER_ERROR && matches!(voice, Voice::Guest) {
        tracing::error!(session = %session.id(), "the session's guest failed; it tells why");
    }
    let mut response = Response::new(body);
    *response.status_mut() = parts.status;
    *response.headers_mut() = match voice {
        Voice::Guest => headers::from_guest(&parts.headers),
        Voice::Target(token) => {
            headers::from_target(parts.status, &parts.headers, token.as_deref())
        }
    };
    harden(response.headers_mut());
    response.extensions_mut().insert(AboutSession(session.id().clone()));
    response
}

/// What a client hears when the guest gave no answer: that the session is over, if it is, and else
/// `code`, which says whether it may try again.
async fn unanswered(
    session: &LiveSession,
    code: ErrorCode,
    cause: impl std::fmt::Display,
) -> Error {
    if session.over().await.is_some() {
        return refusal::ended(session);
    }
    tracing::warn!(session = %session.id(), %cause, "the guest did not answer");
    Error::new(
        code,
        match code {
            ErrorCode::OutcomeUnknown => {
                "the session's guest went away over this request, which may have been carried out; \
                 look before sending it again"
            }
            _ => "the session's guest did not answer; try again in a moment",
        },
    )
}

type SessionEnd = Pin<Box<dyn Future<Output = EndReason> + Send>>;

/// A body from the guest. The session counts as in use until it is over.
struct Relayed {
    body: GuestBody,
    ended: Option<SessionEnd>,
    _activity: Activity,
}

impl http_body::Body for Relayed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = self.body.poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        }
        let Some(ended) = &mut self.ended else { return Poll::Pending };
        // Cut short, not ended: what was promised did not come.
        ended.as_mut().poll(cx).map(|_| Some(Err("the browser session has ended".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
