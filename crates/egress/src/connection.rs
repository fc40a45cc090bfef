//! One client's connection: requests come one after another, each decided for itself, until one of
//! them turns the connection into a tunnel or either side closes.
//!
//! ```text
//!  accepted ─▶ reading a request ─┬─ refused ─▶ answered ─┐
//!                 ▲               ├─ plain HTTP ─▶ forward ─┤─▶ next request
//!                 │               └─ CONNECT or 101 ─▶ tunnel ─▶ closed
//!                 └───────────────────────────────────────┘
//!  at any time: the policy no longer allows where it goes ─▶ closed
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Duration;
use tracing::debug;

use crate::connect::{Opened, Reached};
use crate::destination::Destination;
use crate::forward::{self, Driver, Failure, Upstream};
use crate::gateway::Shared;
use crate::limits::Limits;
use crate::odd_answer::OddAnswer;
use crate::proxy::Purpose;
use crate::refusal::{Malformed, Refusal};
use crate::stream::Stream;
use crate::tape::Taped;
use crate::tunnel;

/// How often a connection is opened whose route changes meanwhile.
const ATTEMPTS: u32 = 3;

/// Most headers of a request.
const HEADERS: usize = 512;

/// What a client is answered: an origin's answer or one of ours.
type Answer = Response<Either<Incoming, Full<Bytes>>>;

/// Ends the client's connection as one that HTTP is spoken over, without an answer.
#[derive(Debug, thiserror::Error)]
#[error("there is no answer that could be passed on in order")]
struct HangUp;

/// What the connection becomes once its last answer is written.
pub(crate) enum Tunnel {
    /// After CONNECT.
    Connected {
        /// The client's socket, once freed from HTTP.
        client: OnUpgrade,
        /// The route to the destination.
        upstream: Stream,
        /// What came over it already.
        early: Bytes,
    },
    /// After 101.
    Upgraded {
        /// The client's socket, once freed from HTTP.
        client: OnUpgrade,
        /// The origin's socket, once freed from HTTP.
        upstream: OnUpgrade,
        /// What frees it.
        driver: Driver,
    },
}

#[derive(Default)]
struct State {
    /// Where the connection goes at present, for judging it again.
    reached: Option<Reached>,
    /// A connection to an origin kept for the next request.
    kept: Option<Upstream>,
    tunnel: Option<Tunnel>,
    /// What is passed on as it came once the client's connection is freed.
    odd_answer: Option<OddAnswer>,
}

/// One client's connection.
pub(crate) struct Client {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

/// Serves a connection to its end.
pub(crate) async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let client = Arc::new(Client::new(shared));
    let running = client.run(stream);
    client.while_allowed(running).await;
}

/// Answers one request with 503 and closes.
pub(crate) async fn turn_away(shared: Arc<Shared>, stream: TcpStream) {
    let shared = &shared;
    let service = service_fn(move |_request: Request<Incoming>| async move {
        shared.log.note(&Refusal::Busy);
        Ok::<_, Infallible>(Refusal::Busy.into_response(true))
    });
    let limits = &shared.connector.limits;
    let connection = http(limits)
        .keep_alive(false)
        // Only a few connections at a time are kept for answers like this one.
        .header_read_timeout(limits.head_read.min(Duration::from_secs(5)))
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        debug!(%error, "egress connection ended");
    }
}

fn http(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_read)
        .max_buf_size(limits.head)
        .max_header_size(limits.head)
        .max_headers(HEADERS)
        .preserve_header_case(true)
        // What an origin leaves out is left out.
        .auto_date_header(false);
    http
}

impl Client {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, state: Mutex::default() }
    }

    /// Does it until the policy no longer allows where this connection goes.
    pub(crate) async fn while_allowed(&self, running: impl Future<Output = ()>) {
        let mut policies = self.shared.policy.subscribe();
        tokio::select! {
            () = running => {}
            () = async {
                while policies.changed().await.is_ok() {
                    if !self.still_allowed() {
                        return;
                    }
                }
                // The gateway is gone; whoever drops this task ends it.
                std::future::pending::<()>().await;
            } => debug!("egress connection cut: the policy changed"),
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    async fn run(self: &Arc<Self>, stream: TcpStream) {
        stream.set_nodelay(true).ok();
        let stream = Taped::new(stream);
        let service = service_fn(move |request| {
            let client = Arc::clone(self);
            async move { client.answer(request).await }
        });
        let connection =
            http(self.limits()).serve_connection(TokioIo::new(stream.clone()), service);
        if let Err(error) = Box::pin(connection.with_upgrades()).await {
            debug!(%error, "egress connection ended");
        }
        let (tunnel, odd_answer) = {
            let mut state = self.state.lock();
            (state.tunnel.take(), state.odd_answer.take())
        };
        if let Some(tunnel) = tunnel {
            self.relay(tunnel).await;
        } else if let (Some(answer), Some((client, _))) = (odd_answer, stream.take()) {
            answer.pass_on(client).await;
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, HangUp> {
        let connect = request.method() == Method::CONNECT;
        let refusal = match Box::pin(self.decide(request)).await {
            Ok(answer) => return Ok(answer),
            Err(Failure::Broken) => return Err(HangUp),
            Err(Failure::Odd(answer)) => {
                self.state.lock().odd_answer = Some(answer);
                return Err(HangUp);
            }
            Err(Failure::Refused(refusal)) => refusal,
        };
        self.shared.log.note(&refusal);
        // After a refused CONNECT the client may already have sent bytes meant for the tunnel; they
        // must not be read as a request.
        let close =
            connect || refusal.status().is_client_error() && refusal.destination().is_none();
        Ok(refusal.into_response(close).map(Either::Right))
    }

    async fn decide(&self, mut request: Request<Incoming>) -> Result<Answer, Failure> {
        if request.method() == Method::CONNECT {
            let dest = connect_target(&request)?;
            let Opened { stream, early, .. } = self.connect(&dest, Purpose::Tunnel).await?;
            let client = hyper::upgrade::on(&mut request);
            self.set_tunnel(Tunnel::Connected { client, upstream: stream, early });
            return Ok(Response::new(Either::Right(Full::default())));
        }
        let dest = absolute_target(&request)?;
        let response = forward::forward(self, request, dest).await?;
        Ok(response.map(Either::Left))
    }

    /// Opens a connection under the policy in force and remembers where it goes.
    pub(crate) async fn connect(
        &self,
        dest: &Destination,
        purpose: Purpose,
    ) -> Result<Opened, Refusal> {
        for _ in 0..ATTEMPTS {
            *self.state.lock() = State::default();
            let policy = Arc::clone(&self.shared.policy.borrow());
            let opened = self.shared.connector.connect(&policy, dest, purpose).await?;
            self.state.lock().reached = Some(opened.reached.clone());
            // The policy may have changed while we were connecting.
            if self.still_allowed() {
                debug!(%dest, "egress allowed");
                return Ok(opened);
            }
            if opened.reached.goes_as(&self.shared.policy.borrow()) {
                break;
            }
            // The route has changed: the new one is tried.
        }
        Err(Refusal::Blocked(dest.clone()))
    }

    /// Whether the policy in force allows where this connection goes.
    pub(crate) fn still_allowed(&self) -> bool {
        let policy = Arc::clone(&self.shared.policy.borrow());
        self.state.lock().reached.as_ref().is_none_or(|reached| reached.allowed_by(&policy))
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.connector.limits
    }

    pub(crate) fn set_tunnel(&self, tunnel: Tunnel) {
        self.state.lock().tunnel = Some(tunnel);
    }

    pub(crate) fn keep(&self, upstream: Upstream) {
        self.state.lock().kept = Some(upstream);
    }

    pub(crate) fn take_kept(&self) -> Option<Upstream> {
        self.state.lock().kept.take()
    }

    async fn relay(&self, tunnel: Tunnel) {
        let (client, upstream, upstream_early) = match tunnel {
            Tunnel::Connected { client, upstream, early } => (client, upstream, early),
            Tunnel::Upgraded { client, upstream, driver } => {
                let Some((stream, early)) = socket::<Taped<Stream>>(upstream).await else { return };
                let Some((stream, _)) = stream.take() else { return };
                drop(driver);
                (client, stream, early)
            }
        };
        let Some((client, client_early)) = socket::<Taped<TcpStream>>(client).await else { return };
        let Some((client, _)) = client.take() else { return };
        self.pass_on(client, client_early, upstream, upstream_early).await;
    }

    /// Passes bytes on both ways; those that came `early` first.
    pub(crate) async fn pass_on(
        &self,
        client: TcpStream,
        client_early: Bytes,
        upstream: Stream,
        upstream_early: Bytes,
    ) {
        let half_closed = self.limits().half_closed;
        let held = &self.shared.held;
        tunnel::relay(client, client_early, upstream, upstream_early, half_closed, held).await;
    }
}

/// The bare socket under an upgraded connection, and what was already read from it.
async fn socket<S>(upgrade: OnUpgrade) -> Option<(S, Bytes)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => {
            debug!(%error, "egress tunnel did not start");
            return None;
        }
    };
    let parts = upgraded.downcast::<TokioIo<S>>().ok()?;
    Some((parts.io.into_inner(), parts.read_buf))
}

/// Where a CONNECT goes.
fn connect_target(request: &Request<Incoming>) -> Result<Destination, Refusal> {
    let uri = request.uri();
    let headers = request.headers();
    if headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(CONTENT_LENGTH) {
        return Err(Malformed("CONNECT cannot have a body").into());
    }
    match uri.authority() {
        Some(authority) if uri.scheme().is_none() => {
            Ok(Destination::parse(authority.as_str(), None)?)
        }
        _ => Err(Malformed("CONNECT takes host:port").into()),
    }
}

/// Where a plain request goes.
fn absolute_target(request: &Request<Incoming>) -> Result<Destination, Refusal> {
    let uri = request.uri();
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority)) => {
            if request.method() == Method::TRACE {
                return Err(Refusal::Trace);
            }
            Ok(Destination::parse(authority.as_str(), Some(80))?)
        }
        (Some(_), _) => Err(Refusal::Scheme),
        (None, _) => Err(Refusal::NotAProxyRequest),
    }
}
