//! Both directions of a tunnel, from the client's upgrade to the close frame.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use browserd_api::browser::EndReason;
use browserd_fleet::{Activity, LiveSession};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::close_frame::CloseFrame;
use super::copy::{Direction, Stop};
use super::frames::FrameTracker;
use super::idle_timer::IdleTimer;
use super::slot::Upgrade;
use crate::wire::log::AboutSession;

/// How long a client may take to read the rest of a frame and our close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Most bytes read from a client after our close frame.
const CLOSE_DRAIN: u64 = 16 << 20;

/// A session's end is often noticed first as the loss of what runs in it. So long we wait for the
/// true reason before we say that only the inside was lost.
const REASON_PATIENCE: Duration = Duration::from_millis(100);

/// What is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Chromium's debugging port.
    Cdp,
    /// The session's guest.
    Guest,
}

/// The other end, after its half of the handshake.
pub(crate) struct Inside<S> {
    /// What it is.
    pub(crate) kind: Kind,
    /// The connection.
    pub(crate) stream: S,
    /// What it sent already.
    pub(crate) leftover: Bytes,
    /// Its handshake headers, for the client.
    pub(crate) headers: HeaderMap,
}

/// How a tunnel came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    ClientGone,
    InsideGone,
    SessionEnded(EndReason),
}

/// The open tunnels, which outlive the HTTP connections they began on. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tunnels {
    tasks: TaskTracker,
    idle_after: Option<Duration>,
}

impl Tunnels {
    /// None yet. A CDP client that is idle for `idle_after` no longer keeps its session from being suspended.
    pub(crate) fn new(idle_after: Option<Duration>) -> Self {
        Self { tasks: TaskTracker::new(), idle_after }
    }

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.tasks.len()
    }

    /// Waits until all are closed.
    pub(crate) async fn closed(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Answers 101 and copies from then on, in a task of its own that counts as activity.
    pub(crate) fn accept<S>(
        &self,
        session: &LiveSession,
        upgrade: Upgrade,
        inside: Inside<S>,
    ) -> Response
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = inside.headers.clone();
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        response.extensions_mut().insert(AboutSession(session.id().clone()));

        let (session, activity) = (session.clone(), session.activity());
        let idle = self.idle_after.filter(|_| inside.kind == Kind::Cdp).map(IdleTimer::new);
        let task = async move {
            let Upgrade { on, slot: _slot } = upgrade;
            let Ok(upgraded) = on.await else {
                tracing::debug!("the client went away during the handshake");
                return;
            };
            // The server serves plain TCP, so this is what it always is.
            let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else {
                tracing::error!("an upgraded connection was no TCP connection");
                return;
            };
            let client = parts.io.into_inner();
            let started = Instant::now();
            let (outcome, carried) =
                run(client, &parts.read_buf, inside, &session, activity, idle).await;
            tracing::info!(
                target: "browserd::access",
                session = %session.id(),
                ?outcome,
                bytes_in = carried[0],
                bytes_out = carried[1],
                duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                "connection closed"
            );
        };
        self.tasks.spawn(task.in_current_span());
        response
    }
}

/// Copies until an end comes, sends the close frame, and closes both sides.
async fn run<C, S>(
    mut client: C,
    leftover: &Bytes,
    mut inside: Inside<S>,
    session: &LiveSession,
    mut activity: Activity,
    mut idle: Option<IdleTimer>,
) -> (Outcome, [u64; 2])
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut tracker = FrameTracker::default();
    let mut carried = [0, 0];
    let mut inward = Direction::new(leftover);
    let mut outward = Direction::new(&inside.leftover);
    inside.leftover = Bytes::new();
    let mut outcome = {
        let mut ended = pin!(session.wait_end());
        let mut inward_open = true;
        poll_fn(|cx| {
            if let Poll::Ready(reason) = ended.as_mut().poll(cx) {
                return Poll::Ready(Outcome::SessionEnded(reason));
            }
            let before = carried;
            let polled = outward.poll_carry(cx, &mut inside.stream, &mut client, |bytes| {
                tracker.advance(bytes);
                carried[1] += bytes.len() as u64;
            });
            if let Poll::Ready(stop) = polled {
                return Poll::Ready(if stop == Stop::Source {
                    Outcome::InsideGone
                } else {
                    Outcome::ClientGone
                });
            }
            if inward_open {
                let polled = inward.poll_carry(cx, &mut client, &mut inside.stream, |bytes| {
                    carried[0] += bytes.len() as u64;
                });
                match polled {
                    Poll::Ready(Stop::Source) => return Poll::Ready(Outcome::ClientGone),
                    // What the inside still sent comes out first; then its end is noticed above.
                    Poll::Ready(Stop::Sink) => inward_open = false,
                    Poll::Pending => {}
                }
            }
            if let Some(idle) = &mut idle {
                // What the inside has not taken yet is still wanted of it.
                let in_use = carried != before || !inward.is_empty();
                idle.update(cx, in_use, &mut activity);
            }
            Poll::Pending
        })
        .await
    };
    if outcome == Outcome::InsideGone && !tracker.closed() {
        let ended = tokio::time::timeout(REASON_PATIENCE, session.wait_end()).await;
        // A session that is dead may take longer to say why, but does not come back.
        let ended = match ended {
            Ok(reason) => Some(reason),
            Err(_) => session.over().await,
        };
        outcome = ended.map_or(outcome, Outcome::SessionEnded);
    }
    // From here on the session is not in use: the close frame is between the client and us.
    drop(activity);
    let kind = inside.kind;
    drop(inside);
    let last = match outcome {
        Outcome::ClientGone => return (outcome, carried),
        Outcome::InsideGone => CloseFrame::inside_lost(kind),
        Outcome::SessionEnded(reason) => CloseFrame::session_ended(reason),
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, close(client, outward, tracker, last)).await;
    (outcome, carried)
}

/// Ends the client's side: the rest of what was read, a close frame where one may stand, then TCP.
async fn close<C: AsyncRead + AsyncWrite + Unpin>(
    mut client: C,
    mut outward: Direction,
    mut tracker: FrameTracker,
    last: CloseFrame,
) {
    let flushed =
        poll_fn(|cx| outward.poll_flush(cx, &mut client, |bytes| tracker.advance(bytes))).await;
    if flushed.is_err() {
        return;
    }
    if tracker.at_boundary() && !tracker.closed() && client.write_all(&last.bytes()).await.is_err()
    {
        return;
    }
    // Closing a socket with unread input resets it, and the reset overtakes the frame just sent.
    // So only our side is closed, and the client's last bytes are read until it closes its own.
    if client.shutdown().await.is_ok() {
        let _ = tokio::io::copy(&mut client.take(CLOSE_DRAIN), &mut tokio::io::sink()).await;
    }
}
