//! Accepting connections, and stopping.
//!
//! ```text
//!  shutdown asked ─▶ stop accepting ─▶ connections finish their request ─┐
//!                          │                                            ├─▶ all gone, or grace over
//!                          └─▶ fleet ends its sessions ─▶ close frames ─┘
//! ```

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::FromRef as _;
use browserd_fleet::Fleet;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::app::App;
use crate::config::ServerConfig;
use crate::docs::Docs;
use crate::keys::ApiKeys;
use crate::metrics::HttpMetrics;
use crate::replays::Replays;
use crate::router;
use crate::tunnel::{Slot, Tunnels};
use crate::wire::head::PARSER_LIMIT;
use crate::wire::linger;

/// Pause after an error of `accept` that is about us (no more file descriptors) and not about a peer.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The HTTP face of one fleet.
pub struct Server {
    app: App,
}

impl Server {
    /// A server for `fleet`, which takes these keys.
    #[must_use]
    pub fn new(config: ServerConfig, fleet: Fleet, keys: ApiKeys) -> Self {
        let docs = Docs::new(router::document(&config.guest_openapi));
        Self { app: App::new(config, fleet, keys, docs) }
    }

    /// All routes. `WebSocket`s need [`Self::serve`], which alone can hand over a connection.
    pub fn router(&self) -> Router {
        router::router(self.app.clone())
    }

    /// Serves HTTP/1.1 until `shutdown`, then ends the fleet's sessions, sends their close frames,
    /// and waits for what is open, at most [`ServerConfig::shutdown_grace`].
    ///
    /// # Errors
    ///
    /// None after start so far; failures to accept are logged and tried again.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let fleet = Fleet::from_ref(&self.app);
        let (replays, tunnels) = (Replays::from_ref(&self.app), Tunnels::from_ref(&self.app));
        replays.settle().await;
        if let Some(profiles) = &self.app.config().profiles {
            profiles.sweep().await;
        }
        let kept = tokio::spawn(replays.clone().keep());
        let router = self.router();
        let http = self.http();
        let connections = TaskTracker::new();
        let slots = Arc::clone(HttpMetrics::from_ref(&self.app).slots());
        let stopping = CancellationToken::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accept = async {
                let slot = Slot::of(&slots).await;
                listener.accept().await.map(|(stream, _)| (stream, slot))
            };
            let accepted = tokio::select! {
                accepted = accept => accepted,
                () = &mut shutdown => break,
            };
            match accepted {
                Ok((stream, slot)) => {
                    let (http, router) = (http.clone(), router.clone());
                    connections.spawn(connection(stream, slot, http, router, stopping.clone()));
                }
                Err(error) if about_the_peer(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections; trying again");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        // What it has not removed yet, the next server does.
        kept.abort();
        tracing::info!(connections = connections.len(), tunnels = tunnels.count(), "shutting down");
        stopping.cancel();
        connections.close();
        let everything = async {
            fleet.shutdown().await;
            let drained = async {
                connections.wait().await;
                tunnels.closed().await;
                replays.settled().await;
            };
            tokio::time::timeout(self.app.config().shutdown_grace, drained).await
        };
        if everything.await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                tunnels = tunnels.count(),
                "connections were still open when the grace period ended"
            );
        }
        Ok(())
    }

    fn http(&self) -> Arc<http1::Builder> {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.app.config().header_read_timeout)
            .max_buf_size(PARSER_LIMIT)
            .half_close(false);
        Arc::new(http)
    }
}

/// One connection, until it closes; told to stop, it finishes the request it is in.
async fn connection(
    stream: TcpStream,
    slot: Slot,
    http: Arc<http1::Builder>,
    router: Router,
    stopping: CancellationToken,
) {
    // Answers and frames are small and awaited: waiting to fill a segment would be pure delay.
    let _ = stream.set_nodelay(true);
    // A client that vanished without a word would otherwise keep its session in use for ever.
    if let Err(error) = keep_alive(&stream) {
        tracing::debug!(%error, "no keep-alive for a connection");
    }
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(slot.clone());
        let mut router = router.clone();
        async move { Ok::<_, Infallible>(answer(&mut router, request).await) }
    });
    let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Has the kernel notice a vanished peer within about three minutes.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(60))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(30))?;
    sockopt::set_tcp_keepcnt(stream, 4)?;
    Ok(())
}

async fn answer(router: &mut Router, request: Request<Incoming>) -> http::Response<Body> {
    // Asking a client that waits for 100 Continue to go on would be to ask for what is not wanted.
    let waits = request.headers().contains_key(http::header::EXPECT);
    let (parts, body) = request.into_parts();
    let (body, whole, left) = linger::watch(body);
    let mut request = Request::from_parts(parts, Body::new(body));
    request.extensions_mut().insert(whole);
    let response = match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if !waits {
        left.drain().await;
    }
    response
}

fn about_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(
        error.kind(),
        K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted
    )
}
