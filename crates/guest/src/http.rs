//! The guest's HTTP API: one listener, one router, HTTP/1.1 with upgrades.
//!
//! Owns accepting and the composition of routes. Authenticates nobody: only `serve` can reach the
//! socket.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use browserd_rest::{envelope, method_not_allowed, route_not_found};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tracing::Instrument as _;
use utoipa_axum::router::OpenApiRouter;

use crate::computer::{self, Computer};
use crate::curl::{self, Curl};
use crate::drain::Drained;
use crate::extensions::{self, Extensions};
use crate::fs::{self, Files};
use crate::logs::{self, LogStreams};
use crate::playwright::{self, Playwright};
use crate::process::{self, Processes};
use crate::repl::{self, Repl};
use crate::requests::{self, Requests};

/// Connections served at one time; more wait to be accepted.
const CONNECTIONS: usize = 4096;
/// How long the listener rests after the kernel refused to accept (no descriptors left).
const REST: Duration = Duration::from_millis(50);

/// Send buffer of a connection, bytes; the kernel gives what its own limit allows. A larger one
/// means fewer switches between the guest and whoever reads a stream.
const SEND_BUFFER: usize = 256 * 1024;

/// What the routes work on.
pub struct Services {
    /// Processes clients started.
    pub processes: Processes,
    /// The session's files.
    pub files: Files,
    /// The session's logs.
    pub logs: LogStreams,
    /// Counts of requests.
    pub requests: Arc<Requests>,
    /// What needs a browser, where there is one.
    pub browser: Option<BrowserServices>,
}

/// What the routes that need a browser work on.
pub struct BrowserServices {
    /// Mouse, keyboard and screen.
    pub computer: Computer,
    /// Requests through the browser.
    pub curl: Curl,
    /// Extensions loaded into it.
    pub extensions: Extensions,
    /// Playwright code.
    pub playwright: Playwright,
    /// The REPL.
    pub repl: Repl,
}

/// The API document of the guest's routes, with paths as the guest serves them; the server nests
/// them below `/browsers/{id_or_name}`.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = OpenApiRouter::<()>::new().into_openapi();
    for routes in [
        process::routes().into_openapi(),
        fs::routes().into_openapi(),
        logs::routes().into_openapi(),
        computer::routes().into_openapi(),
        curl::routes().into_openapi(),
        extensions::routes().into_openapi(),
        playwright::routes().into_openapi(),
        repl::routes().into_openapi(),
    ] {
        document.merge(routes);
    }
    document
}

/// Every route of the guest.
pub fn router(services: Services) -> Router {
    let mut routes = OpenApiRouter::new()
        .merge(process::routes().with_state(services.processes))
        .merge(fs::routes().with_state(services.files))
        .merge(logs::routes().with_state(services.logs));
    if let Some(browser) = services.browser {
        routes = routes
            .merge(computer::routes().with_state(browser.computer))
            .merge(curl::routes().with_state(browser.curl))
            .merge(extensions::routes().with_state(browser.extensions))
            .merge(playwright::routes().with_state(browser.playwright))
            .merge(repl::routes().with_state(browser.repl));
    }
    let (router, _) = routes.split_for_parts();
    router
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::middleware::from_fn(envelope))
        .layer(axum::middleware::from_fn_with_state(services.requests, requests::count))
}

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
                tracing::warn!(%error, "the API cannot accept a connection");
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

#[cfg(test)]
mod tests {
    use browserd_api::operations;

    /// Every route is an operation of the contract below `/browsers/{id_or_name}`, or says that it
    /// is an extension of ours.
    #[test]
    fn the_document_names_every_operation_and_refusal() {
        let document = serde_json::to_value(super::openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.contains_key("/process/exec"));
        for (path, methods) in paths {
            let room = path.split('/').nth(1).unwrap();
            for (method, operation) in methods.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                assert_eq!(
                    operation["tags"],
                    serde_json::json!([format!("browsers/{room}")]),
                    "{path}"
                );
                let documented = operations::all().any(|known| {
                    known.path.strip_prefix("/browsers/{id_or_name}") == Some(path)
                        && known.method.eq_ignore_ascii_case(method)
                });
                let summary = operation["summary"].as_str().unwrap();
                assert_eq!(summary.starts_with("Extension:"), !documented, "{id}");
                for status in ["400", "401", "404", "429", "500", "502"] {
                    let schema = &operation["responses"][status]["content"]["application/json"];
                    assert_eq!(
                        schema["schema"]["$ref"], "#/components/schemas/Error",
                        "{id} {status}"
                    );
                }
            }
        }
    }
}
