//! The guest's HTTP API: the composition of all its routes.
//!
//! Does not authenticate: only `serve` can reach the socket.

use std::sync::Arc;

use axum::Router;
use browserd_guest_computer::{self as computer, Computer};
use browserd_guest_fs::logs::{self, LogStreams};
use browserd_guest_fs::{self as fs, Files};
use browserd_guest_http::requests::{self, Requests};
use browserd_guest_process::{self as process, Processes};
use browserd_guest_profile::extensions::{self, Extensions};
use browserd_guest_web::curl::{self, Curl};
use browserd_guest_web::playwright::{self, Playwright};
use browserd_guest_web::repl::{self, Repl};
use browserd_rest::{envelope, method_not_allowed, route_not_found};
use utoipa_axum::router::OpenApiRouter;

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
