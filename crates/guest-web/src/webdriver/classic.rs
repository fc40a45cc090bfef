//! Classic `WebDriver`: requests and answers passed on, a new session made to attach.

use std::net::Ipv4Addr;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use browserd_api::ErrorCode;
use browserd_rest::{Error, Result};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::driver::NoDriver;
use super::public_url::PublicUrl;
use super::{WebDriver, capabilities};

/// Largest body of `POST /session`, and largest answer to it, bytes.
const SESSION_LIMIT: usize = 1 << 20;

/// What goes on to the driver. It looks at the host and the origin to keep web pages away; what
/// `serve` has let through is no web page.
const PASSED_ON: [http::HeaderName; 2] = [CONTENT_TYPE, http::header::ACCEPT];

pub(super) fn no_driver(error: &NoDriver) -> Error {
    let code = match error {
        NoDriver::NotInstalled => ErrorCode::NotImplemented,
        NoDriver::Failed(_) => ErrorCode::UpstreamUnavailable,
    };
    Error::new(code, error.to_string())
}

fn unavailable(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::UpstreamUnavailable, format!("chromedriver did not answer: {error}"))
}

pub(super) async fn forward(
    webdriver: &WebDriver,
    path: &str,
    request: Request,
) -> Result<Response> {
    if path == "/session" && request.method() == Method::POST {
        return new_session(webdriver, request).await;
    }
    let port = webdriver.driver.port().await.map_err(|error| no_driver(&error))?;
    let (parts, body) = request.into_parts();
    let mut onward = outgoing(parts.method, path, &parts.headers, port)?;
    // The length goes with the body: the driver does not read chunks.
    if let Some(length) = parts.headers.get(CONTENT_LENGTH) {
        onward.headers_mut().insert(CONTENT_LENGTH, length.clone());
        *onward.body_mut() = body;
    } else {
        let limited = http_body_util::Limited::new(body, SESSION_LIMIT);
        *onward.body_mut() = Body::from(limited.collect().await.map_err(too_large)?.to_bytes());
    }
    Ok(send(onward, port).await?.map(Body::new))
}

async fn new_session(webdriver: &WebDriver, request: Request) -> Result<Response> {
    let url = PublicUrl::of(request.headers());
    let (parts, body) = request.into_parts();
    let body = http_body_util::Limited::new(body, SESSION_LIMIT).collect().await;
    let body = body.map_err(too_large)?.to_bytes();
    let mut parameters: Value = match serde_json::from_slice(&body) {
        Ok(parameters) => parameters,
        Err(error) => return Ok(invalid(&format!("the body is not JSON: {error}"))),
    };
    let running = webdriver.browser.running().await;
    let running = running.map_err(|e| Error::new(ErrorCode::UpstreamUnavailable, e.to_string()))?;
    let address = format!("127.0.0.1:{}", running.endpoint.port);
    if let Err(wrong) = capabilities::attach(&mut parameters, &address) {
        return Ok(invalid(&wrong));
    }
    let port = webdriver.driver.port().await.map_err(|error| no_driver(&error))?;
    let mut onward = outgoing(parts.method, "/session", &parts.headers, port)?;
    *onward.body_mut() = Body::from(parameters.to_string());
    let (mut head, answer) = send(onward, port).await?.into_parts();
    let answer = http_body_util::Limited::new(answer, SESSION_LIMIT).collect().await;
    let answer = answer.map_err(unavailable)?.to_bytes();
    let mut created: Value = serde_json::from_slice(&answer).map_err(unavailable)?;
    if let (Some(url), Some(created)) = (url, created.get_mut("value"))
        && let Some(id) = created["sessionId"].as_str().map(str::to_owned)
    {
        capabilities::publish_url(created, &id, &url);
    }
    head.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(head, Body::from(created.to_string())))
}

/// A refusal in the form `WebDriver` clients read.
fn invalid(message: &str) -> Response {
    let value = json!({ "error": "invalid argument", "message": message, "stacktrace": "" });
    (StatusCode::BAD_REQUEST, axum::Json(json!({ "value": value }))).into_response()
}

fn too_large(error: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorCode::PayloadTooLarge,
        format!("the body could not be read or is over {SESSION_LIMIT} bytes: {error}"),
    )
}

fn outgoing(
    method: Method,
    path: &str,
    headers: &HeaderMap,
    port: u16,
) -> Result<http::Request<Body>> {
    let uri: Uri = path.parse().map_err(|_| {
        Error::new(ErrorCode::BadRequest, "the path is not one a WebDriver command has")
    })?;
    let mut request = http::Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    for name in PASSED_ON {
        if let Some(value) = headers.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    let host = HeaderValue::from_str(&format!("127.0.0.1:{port}")).map_err(Error::internal)?;
    request.headers_mut().insert(HOST, host);
    Ok(request)
}

/// One request on a connection of its own.
async fn send(request: http::Request<Body>, port: u16) -> Result<http::Response<Incoming>> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.map_err(unavailable)?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(unavailable)?;
    // Ends with the answer's body, or when the answer is dropped.
    tokio::spawn(connection);
    let mut response = sender.send_request(request).await.map_err(unavailable)?;
    // About the connection to the driver, which is not the client's.
    response.headers_mut().remove(http::header::CONNECTION);
    Ok(response)
}
