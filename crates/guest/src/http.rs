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
use utoipa_axum::router::OpenApiRouter;

use crate::drain::Drained;
use crate::playwright::{self, Playwright};
use crate::process::{self, Processes};
use crate::repl::{self, Repl};

/// Connections served at one time; more wait to be accepted.
const CONNECTIONS: usize = 4096;
/// How long the listener rests after the kernel refused to accept (no descriptors left).
const REST: Duration = Duration::from_millis(50);

/// What the routes work on.
pub struct Services {
    /// Processes clients started.
    pub processes: Processes,
    /// Playwright code, where there is a browser.
    pub playwright: Option<Playwright>,
    /// The REPL, where there is a browser.
    pub repl: Option<Repl>,
}

/// The API document of the guest's routes, with paths as the guest serves them; the server nests
/// them below `/browsers/{id_or_name}`.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = OpenApiRouter::<()>::new().into_openapi();
    for routes in [
        process::routes().into_openapi(),
        playwright::routes().into_openapi(),
        repl::routes().into_openapi(),
    ] {
        document.merge(routes);
    }
    document
}

/// Every route of the guest.
pub fn router(services: Services) -> Router {
    let mut routes = OpenApiRouter::new().merge(process::routes().with_state(services.processes));
    if let Some(playwright) = services.playwright {
        routes = routes.merge(playwright::routes().with_state(playwright));
    }
    if let Some(repl) = services.repl {
        routes = routes.merge(repl::routes().with_state(repl));
    }
    let (router, _) = routes.split_for_parts();
    router
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::middleware::from_fn(envelope))
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
        let router = router.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let router = router.clone();
                async move { router.oneshot(request.map(|body| Body::new(Drained::new(body)))).await }
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
