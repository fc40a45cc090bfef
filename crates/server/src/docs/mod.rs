//! Documents about the API, all made from the one `OpenAPI` document: the document itself, a page for
//! people, and pages for agents.
//!
//! The pages are made when they are first asked for and kept from then on; a server nobody reads
//! about pays for none of them.

mod html;
mod markdown;
mod model;

use std::sync::{Arc, OnceLock};

use axum::extract::{FromRef, Path, State};
use axum::response::{IntoResponse, Response};
use browserd_api::ErrorCode;
use browserd_rest::{Error, ReadPath, Refused, Result, refusals};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use model::Api;

refusals! {
    /// Finding the page of an operation.
    FindPage: NotFound;
}

/// The documents.
pub(crate) struct Docs {
    document: OpenApi,
    json: Bytes,
    yaml: OnceLock<Bytes>,
    api: OnceLock<Api>,
    html: OnceLock<Bytes>,
    llms: OnceLock<Bytes>,
}

impl Docs {
    pub(crate) fn new(document: OpenApi) -> Self {
        // A document made of plain data always serializes.
        let json = document.to_json().map(Bytes::from).unwrap_or_default();
        Self {
            document,
            json,
            yaml: OnceLock::new(),
            api: OnceLock::new(),
            html: OnceLock::new(),
            llms: OnceLock::new(),
        }
    }

    fn api(&self) -> &Api {
        self.api.get_or_init(|| Api::read(&self.json))
    }
}

/// The document as YAML, as it is kept in the repository.
#[must_use]
pub fn yaml(document: &OpenApi) -> String {
    serde_yaml_ng::to_string(document).unwrap_or_default()
}

/// All routes of this module, with their document.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<Docs>: FromRef<S>,
{
    OpenApiRouter::default()
        .routes(routes!(spec_json))
        .routes(routes!(spec_yaml))
        .routes(routes!(docs))
        .routes(routes!(page))
        .routes(routes!(llms))
}

/// This document, as JSON
#[utoipa::path(get, path = "/spec.json", operation_id = "docs.spec_json", tag = "server",
    responses((status = 200, description = "`OpenAPI` 3.1.", body = serde_json::Value)))]
async fn spec_json(State(docs): State<Arc<Docs>>) -> Response {
    serve(docs.json.clone(), "application/json")
}

/// This document, as YAML
#[utoipa::path(get, path = "/spec.yaml", operation_id = "docs.spec_yaml", tag = "server",
    responses((status = 200, description = "`OpenAPI` 3.1.", body = serde_json::Value, content_type = "application/yaml")))]
async fn spec_yaml(State(docs): State<Arc<Docs>>) -> Response {
    let text = docs.yaml.get_or_init(|| yaml(&docs.document).into());
    serve(text.clone(), "application/yaml")
}

/// API reference for people
#[utoipa::path(get, path = "/docs", operation_id = "docs.html", tag = "server",
    responses((status = 200, description = "One page, nothing loaded from elsewhere.", body = String, content_type = "text/html")))]
async fn docs(State(docs): State<Arc<Docs>>) -> Response {
    let html = docs.html.get_or_init(|| html::page(docs.api()).into());
    serve(html.clone(), "text/html; charset=utf-8")
}

/// One operation, for agents
#[utoipa::path(get, path = "/docs/{page}", operation_id = "docs.page", tag = "server",
    params(("page" = String, Path, description = "`{operation_id}.md`; /llms.txt lists them.")),
    responses((status = 200, description = "Markdown.", body = String, content_type = "text/markdown"),
        Refused<(ReadPath, FindPage)>))]
async fn page(State(docs): State<Arc<Docs>>, Path(page): Path<String>) -> Result<Response> {
    let api = docs.api();
    let operation = page.strip_suffix(".md").and_then(|id| api.operation(id));
    let operation = operation.ok_or_else(|| {
        Error::new(
            ErrorCode::NotFound,
            "no operation has a page of this name; /llms.txt lists them",
        )
    })?;
    Ok(serve(markdown::page(operation).into(), "text/markdown; charset=utf-8"))
}

/// What this API is and where its pages are, for agents
#[utoipa::path(get, path = "/llms.txt", operation_id = "docs.llms", tag = "server",
    responses((status = 200, description = "A list of Markdown pages.", body = String, content_type = "text/plain")))]
async fn llms(State(docs): State<Arc<Docs>>) -> Response {
    let text = docs.llms.get_or_init(|| markdown::index(docs.api()).into());
    serve(text.clone(), "text/plain; charset=utf-8")
}

fn serve(body: Bytes, content_type: &'static str) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}
