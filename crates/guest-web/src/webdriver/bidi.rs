//! `WebDriver BiDi`: a client's WebSocket bridged to the driver's.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use browserd_api::ErrorCode;
use browserd_guest_http::websocket;
use browserd_rest::{Error, Result};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::error::Error as WsError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use super::classic::no_driver;
use super::public_url::PublicUrl;
use super::{WebDriver, capabilities};

/// Largest message either way, bytes. A screenshot of a long page is the largest in practice.
const MESSAGE_LIMIT: usize = 64 << 20;
/// Our own answers that may wait to be sent to the client.
const OWN_ANSWERS: usize = 16;

/// How long the two sides may take to be told of the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// Answers the upgrade and bridges until either side is done.
pub(super) async fn upgrade(
    webdriver: WebDriver,
    path: &str,
    mut request: Request,
) -> Result<Response> {
    if !is_session_path(path) {
        return Err(Error::new(
            ErrorCode::NotFound,
            format!("/webdriver{path} takes no WebSocket; /webdriver/session does"),
        ));
    }
    let response = websocket::accept(&request)?;
    let url = PublicUrl::of(request.headers());

    let port = webdriver.driver.port().await.map_err(|error| no_driver(&error))?;
    let far = dial(port, path).await.map_err(|error| {
        Error::new(ErrorCode::UpstreamUnavailable, format!("chromedriver refused: {error}"))
    })?;
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let near = match upgraded.await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => return tracing::debug!(%error, "a WebDriver client did not upgrade"),
        };
        let near = WebSocketStream::from_raw_socket(near, Role::Server, Some(config())).await;
        Bridge { webdriver, url, creating: Arc::default() }.run(near, far).await;
    });
    Ok(response)
}

/// `/session`, or `/session/{id}` of a session that was created the classic way.
pub(super) fn is_session_path(path: &str) -> bool {
    path == "/session"
        || path.strip_prefix("/session/").is_some_and(|id| {
            (1..=64).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_LIMIT))
        .max_frame_size(Some(MESSAGE_LIMIT))
}

async fn dial(port: u16, path: &str) -> std::result::Result<WebSocketStream<TcpStream>, WsError> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    // No Origin: the driver takes it for a program, not a web page.
    let url = format!("ws://127.0.0.1:{port}{path}");
    let (far, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config())).await?;
    Ok(far)
}

/// What the bridge looks at in a client's message; everything else passes unread.
#[derive(Deserialize)]
pub(super) struct Command<'a> {
    #[serde(default)]
    id: Option<u64>,
    #[serde(default, borrow)]
    pub(super) method: Option<Cow<'a, str>>,
}

struct Bridge {
    webdriver: WebDriver,
    url: Option<PublicUrl>,
    /// Id of the `session.new` whose answer is awaited.
    creating: Arc<Mutex<Option<u64>>>,
}

impl Bridge {
    async fn run<N, F>(self, near: WebSocketStream<N>, far: WebSocketStream<F>)
    where
        N: AsyncRead + AsyncWrite + Unpin,
        F: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut to_near, from_near) = near.split();
        let (mut to_far, from_far) = far.split();
        let (answer, answers) = mpsc::channel(OWN_ANSWERS);
        // Two directions that do not wait for each other: a client may send much without reading.
        let frame = tokio::select! {
            frame = self.commands(from_near, &mut to_far, answer) => frame,
            frame = self.results(from_far, &mut to_near, answers) => frame,
        };
        // Whichever side is still there hears why, if it listens.
        let closing = async {
            let _ = to_far.send(Message::Close(Some(frame.clone()))).await;
            let _ = to_near.send(Message::Close(Some(frame))).await;
        };
        let _ = tokio::time::timeout(CLOSE_WITHIN, closing).await;
    }

    /// Client to driver; answers why it is over.
    async fn commands<N, F>(
        &self,
        mut from_near: SplitStream<WebSocketStream<N>>,
        to_far: &mut SplitSink<WebSocketStream<F>, Message>,
        answer: mpsc::Sender<String>,
    ) -> CloseFrame
    where
        N: AsyncRead + AsyncWrite + Unpin,
        F: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let text = match next(&mut from_near).await {
                Ok(text) => text,
                Err(frame) => return frame,
            };
            let command = serde_json::from_str::<Command<'_>>(&text);
            let (id, result) = match command {
                Ok(Command { id, method: Some(method) }) if method == "session.new" => {
                    *self.creating.lock() = id;
                    (id, self.attach(&text).await.map_err(|why| ("session not created", why)))
                }
                Ok(_) => (None, Ok(text)),
                // The driver might read it differently (a name given twice), so it does not get it.
                Err(error) => (None, Err(("invalid argument", error.to_string()))),
            };
            let onward = match result {
                Ok(onward) => onward,
                Err((error, message)) => {
                    let refusal = json!({
                        "type": "error", "id": id, "error": error,
                        "message": message, "stacktrace": "",
                    });
                    if answer.send(refusal.to_string()).await.is_err() {
                        return close(CloseCode::Error, "");
                    }
                    continue;
                }
            };
            if to_far.send(Message::Text(onward)).await.is_err() {
                return close(CloseCode::Away, "the WebDriver session is over");
            }
        }
    }

    /// Driver to client; answers why it is over.
    async fn results<N, F>(
        &self,
        mut from_far: SplitStream<WebSocketStream<F>>,
        to_near: &mut SplitSink<WebSocketStream<N>, Message>,
        mut answers: mpsc::Receiver<String>,
    ) -> CloseFrame
    where
        N: AsyncRead + AsyncWrite + Unpin,
        F: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            let text = tokio::select! {
                text = next(&mut from_far) => match text {
                    Ok(text) => self.published(text),
                    Err(frame) => return frame,
                },
                Some(own) = answers.recv() => own.into(),
            };
            if send(to_near, text).await.is_err() {
                return close(CloseCode::Away, "");
            }
        }
    }

    /// `session.new` changed so that the driver attaches to the session's Chromium.
    async fn attach(&self, text: &str) -> std::result::Result<Utf8Bytes, String> {
        let mut command: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let running = self.webdriver.browser.running().await.map_err(|error| error.to_string())?;
        let address = format!("127.0.0.1:{}", running.endpoint.port);
        let members = command.as_object_mut().ok_or("a command must be an object")?;
        let parameters = members.entry("params").or_insert_with(|| json!({}));
        capabilities::attach(parameters, &address)?;
        Ok(command.to_string().into())
    }

    /// The driver's message, with its own URL replaced if it is the answer to `session.new`.
    fn published(&self, text: Utf8Bytes) -> Utf8Bytes {
        let awaited = *self.creating.lock();
        let (Some(awaited), Some(url)) = (awaited, &self.url) else { return text };
        if !matches!(serde_json::from_str(&text), Ok(Command { id: Some(id), .. }) if id == awaited)
        {
            return text;
        }
        *self.creating.lock() = None;
        let Ok(mut answer) = serde_json::from_str::<Value>(&text) else { return text };
        let Some(id) = answer["result"]["sessionId"].as_str().map(str::to_owned) else {
            return text;
        };
        capabilities::publish_url(&mut answer["result"], &id, url);
        answer.to_string().into()
    }
}

async fn send<S>(to: &mut S, text: Utf8Bytes) -> std::result::Result<(), WsError>
where
    S: Sink<Message, Error = WsError> + Unpin,
{
    to.send(Message::Text(text)).await
}

/// The next text message, or how the side has gone.
async fn next<S>(from: &mut S) -> std::result::Result<Utf8Bytes, CloseFrame>
where
    S: Stream<Item = std::result::Result<Message, WsError>> + Unpin,
{
    loop {
        match from.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text),
            Some(Ok(Message::Binary(_))) => {
                return Err(close(CloseCode::Unsupported, "WebDriver BiDi messages are text"));
            }
            Some(Ok(Message::Close(Some(frame)))) => return Err(frame),
            // Pings are answered by the library.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(None))) | None => {
                return Err(close(CloseCode::Normal, "the WebDriver session is over"));
            }
            Some(Err(WsError::Capacity(_))) => {
                return Err(close(CloseCode::Size, "the message is over 64 MiB"));
            }
            Some(Err(WsError::Utf8(_))) => return Err(close(CloseCode::Invalid, "not UTF-8")),
            // The driver ends a session by closing the connection without a word.
            Some(Err(_)) => return Err(close(CloseCode::Normal, "the WebDriver session is over")),
        }
    }
}

fn close(code: CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame { code, reason: Utf8Bytes::from_static(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_speak_websocket() {
        assert!(is_session_path("/session"));
        assert!(is_session_path("/session/2863000d86fbf89baca9cbf5bb06952b"));
        for path in ["", "/", "/session/", "/status", "/session/a/b", "/session/a%2f", "/sessions"]
        {
            assert!(!is_session_path(path), "{path}");
        }
    }
}
