//! The listener: HTTP/1.1 with upgrades, as many connections as may be.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tracing::Instrument as _;

use crate::drain::Drained;

/// Connections served at one time; more wait to be accepted.
const CONNECTIONS: usize = 4096;
/// How long the listener rests after the kernel refused to accept (no descriptors left).
const REST: Duration = Duration::from_millis(50);

/// Send buffer of a connection, bytes; the kernel gives what its own limit allows. A larger one
/// means fewer switches between the guest and whoever reads a stream.
const SEND_BUFFER: usize = 256 * 1024;

/// Serves `router` for as long as the guest lives.
///
/// # Errors
///
/// When the listener cannot be registered with the runtime.
pub async fn serve(listener: StdListener, router: Router) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the session's API cannot accept a connection and tries again");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        // Refused at worst; the usual size does too.
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER);
        let router = router.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let span = span(&request);
                let request = request.map(|body| Body::new(Drained::new(body)));
                router.clone().oneshot(request).instrument(span)
            });
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke off");
            }
            drop(slot);
        });
    }
}

/// What is logged about a request carries the id `serve` gave it and its client was told: a 500
/// says that the log has its cause under that id. Of the level of errors, so that it is there at
/// every level at which causes are logged.
fn span(request: &Request<Incoming>) -> tracing::Span {
    let id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("-");
    tracing::error_span!("request", request_id = id)
}
