//! A guest: answers with what it was asked, streams, and speaks WebSocket.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use futures_util::{SinkExt as _, StreamExt as _};
use http::StatusCode;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, PathItem};

/// The document of this guest.
pub(crate) fn document() -> OpenApi {
    let mut document = OpenApi::default();
    for (method, path) in [
        (HttpMethod::Post, "/process/exec"),
        (HttpMethod::Get, "/process"),
        (HttpMethod::Get, "/process/{process_id}/status"),
        (HttpMethod::Get, "/process/{process_id}/stdout/stream"),
        (HttpMethod::Get, "/process/{process_id}/attach"),
        (HttpMethod::Get, "/webdriver/session"),
        (HttpMethod::Get, "/fs/read_file"),
        (HttpMethod::Get, "/curl/raw"),
    ] {
        let item = PathItem::new(method, OperationBuilder::new().operation_id(Some(path)));
        document.paths.paths.insert(path.to_owned(), item);
    }
    document
}

pub(crate) fn serve(listener: UnixListener) -> JoinHandle<()> {
    let router = Router::new()
        .route("/process", get(echo))
        .route("/process/exec", post(echo))
        .route("/process/{id}/status", get(hostile))
        .route("/process/{id}/stdout/stream", get(stream))
        .route("/process/{id}/attach", get(websocket))
        .route("/webdriver/session", get(websocket))
        .route("/webdriver/{*rest}", any(echo));
    tokio::spawn(async move {
        axum::serve(listener, router).await.unwrap();
    })
}

/// What arrived, as JSON.
async fn echo(request: Request) -> Json<serde_json::Value> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    Json(json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "length": body.len(),
        "body": String::from_utf8_lossy(&body[..body.len().min(1000)]),
    }))
}

/// An answer that tries what it can.
async fn hostile() -> Response {
    Response::builder()
        .status(StatusCode::NOT_FOUND)
        .header("set-cookie", "session=evil")
        .header("location", "https://evil.example/")
        .header("server", "evil")
        .header("access-control-allow-origin", "*")
        .header("content-type", "text/html")
        .body(Body::from("<script>alert(1)</script>"))
        .unwrap()
}

/// One event, then nothing until the client goes away.
async fn stream() -> Response {
    let first = futures_util::stream::once(async {
        Ok::<_, Infallible>(Bytes::from_static(b"data: {\"stream\":\"stdout\"}\n\n"))
    });
    let body = Body::from_stream(first.chain(futures_util::stream::pending()));
    ([("content-type", "text/event-stream")], body).into_response()
}

/// Repeats messages; `bye` closes.
async fn websocket(request: Request) -> Response {
    let Some(key) = request.headers().get("sec-websocket-key") else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let accept = derive_accept_key(key.as_bytes());
    let url = request.headers().get("x-browserd-webdriver-url").cloned();
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(request).await.unwrap();
        let mut socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        if let Some(url) = url {
            socket.send(Message::text(url.to_str().unwrap())).await.unwrap();
        }
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() && message.to_text().unwrap() == "bye" {
                let _ = socket.close(None).await;
            } else if message.is_text() || message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", accept)
        .header("set-cookie", "evil=1")
        .body(Body::empty())
        .unwrap()
}
