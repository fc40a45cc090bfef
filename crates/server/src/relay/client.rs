//! Keep-alive connections to guests.
//!
//! A connection has no task of its own: whoever uses it drives it, from the request to the last byte
//! of the answer, and then puts it back. That spares two wake-ups a request, and a use that is
//! dropped on the way drops its connection with it, which is how a guest learns that nobody listens.
//!
//! ```text
//!  idle ──take──▶ driven by send() ──head──▶ driven by GuestBody ──last byte──▶ idle
//!                       │ dropped, failed          │ dropped, failed
//!                       └──────────▶ closed ◀──────┘
//! ```

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use browserd_api::SessionId;
use browserd_fleet::LiveSession;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustix::net::sockopt::set_socket_send_buffer_size;

use crate::wire::linger::Whole;

/// Idle connections kept for each session.
const IDLE_CONNECTIONS: usize = 8;

/// Longest answer head taken from a guest, and the largest piece of a body read at once, bytes.
const BUFFER_LIMIT: usize = 256 << 10;
/// Send buffer of a connection, bytes; the kernel gives what its own limit allows. A larger one means
/// fewer switches between us and the guest while a file is sent.
const SEND_BUFFER: usize = 256 << 10;

/// Why a guest gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// It takes no connections.
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    /// The connection broke, or what came was no answer.
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// The idle connections of all sessions; those of a session go with it.
#[derive(Clone, Default)]
pub(crate) struct Guests(Arc<Mutex<HashMap<SessionId, Arc<Idle>>>>);

impl Guests {
    /// Sends a request to a session's guest and answers once the answer's head is there.
    ///
    /// A kept connection that turns out to be closed before anything of the request was written is
    /// replaced and the request sent on another; so is one that breaks under a request which asks for
    /// nothing to be done (RFC 9110, section 9.2.2), as it may have been closing meanwhile. Any other
    /// failure is the caller's to report: the guest may have acted.
    pub(crate) async fn send(
        &self,
        session: &LiveSession,
        mut request: Request<Body>,
        whole: Option<Whole>,
    ) -> Result<Answer, SendError> {
        let idle = self.idle(session);
        while let Some(mut connection) = idle.take() {
            let again = repeatable(&request);
            match connection.exchange(request).await {
                Ok(response) => return Ok(Answer { response, connection, idle, whole }),
                Err(mut failed) => match failed.take_message().or(again) {
                    Some(unsent) => request = unsent,
                    None => return Err(failed.into_error().into()),
                },
            }
        }
        let mut connection = Connection::open(session).await?;
        match connection.exchange(request).await {
            Ok(response) => Ok(Answer { response, connection, idle, whole }),
            Err(failed) => Err(failed.into_error().into()),
        }
    }

    fn idle(&self, session: &LiveSession) -> Arc<Idle> {
        let mut all = self.0.lock();
        if let Some(idle) = all.get(session.id()) {
            return Arc::clone(idle);
        }
        let idle = Arc::new(Idle::default());
        all.insert(session.id().clone(), Arc::clone(&idle));
        drop(all);
        let (all, session) = (Arc::clone(&self.0), session.clone());
        tokio::spawn(async move {
            session.wait_end().await;
            all.lock().remove(session.id());
        });
        idle
    }
}

/// The same request once more, when it has no body and sending it twice does no harm.
fn repeatable(request: &Request<Body>) -> Option<Request<Body>> {
    let plain = request.method().is_safe()
        && request.body().is_end_stream()
        && !request.headers().contains_key(http::header::UPGRADE);
    plain.then(|| {
        let mut again = Request::new(Body::empty());
        again.method_mut().clone_from(request.method());
        again.uri_mut().clone_from(request.uri());
        again.headers_mut().clone_from(request.headers());
        again
    })
}

/// Connections of one session that nobody uses just now.
#[derive(Default)]
struct Idle {
    connections: Mutex<Vec<Connection>>,
}

impl Idle {
    /// The one used last, which is the least likely to have been closed meanwhile.
    fn take(&self) -> Option<Connection> {
        self.connections.lock().pop()
    }

    fn put(&self, connection: Connection) {
        let mut connections = self.connections.lock();
        if connections.len() < IDLE_CONNECTIONS {
            connections.push(connection);
        }
    }
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// One connection, driven by its user.
struct Connection {
    sender: http1::SendRequest<Body>,
    /// Moves the bytes; gone once the connection is over.
    driver: Option<Driver>,
}

impl Connection {
    async fn open(session: &LiveSession) -> Result<Self, SendError> {
        let stream = session.dial_guest().await?;
        if let Some(socket) = stream.socket() {
            // One with the kernel's own buffer works too.
            let _ = set_socket_send_buffer_size(socket, SEND_BUFFER);
        }
        let stream = TokioIo::new(stream);
        let (sender, driver) =
            http1::Builder::new().max_buf_size(BUFFER_LIMIT).handshake(stream).await?;
        Ok(Self { sender, driver: Some(Box::pin(driver.with_upgrades())) })
    }

    /// Moves what can be moved.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && let Poll::Ready(result) = driver.as_mut().poll(cx)
        {
            if let Err(error) = result {
                tracing::debug!(%error, "a connection to a guest ended early");
            }
            self.driver = None;
        }
    }

    /// Sends a request, and drives the connection until the head of the answer is there.
    async fn exchange(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        // Brings a kept connection up to date: one that was closed meanwhile fails at once and
        // gives the request back.
        poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(())
        })
        .await;
        let mut answer = pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        poll_fn(|cx| {
            if let Some(moving) = driver
                && moving.as_mut().poll(cx).is_ready()
            {
                *driver = None;
            }
            answer.as_mut().poll(cx)
        })
        .await
    }
}

/// The head of an answer, and the connection its body comes on.
pub(crate) struct Answer {
    /// The answer.
    pub(crate) response: Response<Incoming>,
    connection: Connection,
    idle: Arc<Idle>,
    whole: Option<Whole>,
}

/// Longest refusal kept when it comes before the request's body was sent.
const REFUSAL_LIMIT: usize = 64 << 10;
/// How long its body may take.
const REFUSAL_WITHIN: Duration = Duration::from_secs(5);

impl Answer {
    /// Whether the guest refuses while the client is still sending.
    pub(crate) fn refuses_early(&self) -> bool {
        let status = self.response.status();
        (status.is_client_error() || status.is_server_error())
            && self.whole.as_ref().is_some_and(|whole| !whole.yes())
    }

    /// The head and body of a refusal, and the end of the connection: what is left of the request's
    /// body goes back to whoever reads it off the client.
    pub(crate) async fn cut_short(self) -> (http::response::Parts, Bytes) {
        let (parts, mut body) = self.into_parts();
        let mut kept = Vec::new();
        let read = async {
            while let Some(Ok(frame)) = poll_fn(|cx| body.poll_frame(cx)).await {
                kept.extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
                if kept.len() > REFUSAL_LIMIT {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(REFUSAL_WITHIN, read).await;
        kept.truncate(REFUSAL_LIMIT);
        (parts, Bytes::from(kept))
    }

    /// The head apart from the body.
    pub(crate) fn into_parts(self) -> (http::response::Parts, GuestBody) {
        let (parts, body) = self.response.into_parts();
        let mut body = GuestBody {
            body,
            connection: Some(self.connection),
            idle: self.idle,
            whole: self.whole,
        };
        if body.is_end_stream() {
            body.give_back();
        }
        (parts, body)
    }

    /// The connection itself, after a 101.
    pub(crate) async fn upgrade(mut self) -> hyper::Result<(http::HeaderMap, Upgraded)> {
        let mut upgraded = hyper::upgrade::on(&mut self.response);
        let connection = &mut self.connection;
        let upgraded = poll_fn(|cx| {
            connection.drive(cx);
            Pin::new(&mut upgraded).poll(cx)
        });
        Ok((self.response.headers().clone(), upgraded.await?))
    }
}

/// The body of an answer.
pub(crate) struct GuestBody {
    body: Incoming,
    connection: Option<Connection>,
    idle: Arc<Idle>,
    whole: Option<Whole>,
}

impl GuestBody {
    /// The next piece.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let mut frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_pending()
            && let Some(connection) = &mut self.connection
        {
            connection.drive(cx);
            frame = Pin::new(&mut self.body).poll_frame(cx);
        }
        let frame = ready!(frame);
        match &frame {
            Some(Err(_)) => self.connection = None,
            Some(Ok(_)) if !self.is_end_stream() => {}
            // Nobody asks for the end of a body whose length is known: the last piece is the end.
            _ => self.give_back(),
        }
        Poll::Ready(frame)
    }

    /// Whether nothing follows.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    /// How much follows.
    pub(crate) fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }

    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take()
            && connection.driver.is_some()
            // One that still carries a request's body is of no use to the next request.
            && self.whole.as_ref().is_none_or(Whole::yes)
        {
            self.idle.put(connection);
        }
    }
}
