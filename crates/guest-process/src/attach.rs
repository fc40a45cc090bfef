//! `GET /process/{process_id}/attach`: the interactive WebSocket.
//!
//! ```text
//!  client ──binary──▶ standard input         text {"type":"resize"|"eof"} ──▶ terminal, input
//!  client ◀──binary── all output, from the start, at the client's own pace
//!         ◀──text {"type":"exit","exitCode":n}── then close 1000
//! ```

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use browserd_api::ErrorCode;
use browserd_api::process::AttachMessage;
use browserd_guest_http::refusals::{Refusals, StateRefusals};
use browserd_guest_http::websocket;
use browserd_rest::Result;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::path::Id;
use super::spool::{Chunk, Reader};
use super::{Process, Processes, resize};

/// Longest message a client may send, bytes.
const MESSAGE_LIMIT: usize = 1 << 20;
/// Bytes that may wait inside the socket before the reader of the output waits too.
const WRITE_BUFFER: usize = 256 * 1024;
/// Idle time after which a ping is sent, so that proxies keep the connection.
const PING: Duration = Duration::from_secs(30);
/// How long the close handshake may take.
const CLOSING: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Extension: attach to a process interactively.
///
/// A WebSocket. Binary messages from the client (at most 1 MiB) are input, binary messages to it
/// are everything the process wrote and writes, both streams in one. Text messages are JSON:
/// `{"type":"resize","rows":…,"cols":…}` and `{"type":"eof"}` from the client,
/// `{"type":"exit","exitCode":…}` to it, after which the socket closes with 1000. Several clients
/// may be attached; each sees the output from the start, and all may write. Without a WebSocket
/// handshake the answer is 426 `upgrade_required`.
#[utoipa::path(
    get,
    path = "/process/{process_id}/attach",
    operation_id = "browsers_process_attach",
    tag = "browsers/process",
    params(("process_id" = Uuid, Path, description = "Handle of the process.")),
    responses(
        (status = 101, description = "The WebSocket is open."),
        (status = 426, description = "The request is no WebSocket handshake.", body = browserd_api::ErrorBody),
        Refusals, StateRefusals,
    ),
)]
pub(super) async fn attach(
    State(processes): State<Processes>,
    Id(id): Id,
    mut request: Request,
) -> Result<Response> {
    let process = processes.find(id)?;
    let response = websocket::accept(&request)?;
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_LIMIT))
            .max_frame_size(Some(MESSAGE_LIMIT))
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_BUFFER);
        let io = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        serve(process, socket).await;
    });
    Ok(response)
}

/// Why the socket is closed, for the client.
fn close_frame(code: CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame { code, reason: reason.into() }
}

async fn serve(process: Arc<Process>, socket: Socket) {
    let (mut sink, mut source) = socket.split();
    // Answers to pings and closes travel with the output; input must not wait for a slow reader.
    let (input, queue) = mpsc::channel(4);
    let output = send_output(process.output.reader(), &mut sink);
    let feed = feed_input(&process, queue);
    let receive = receive(&process, &mut source, input);
    let frame = tokio::select! {
        frame = output => frame,
        frame = receive => frame,
        () = feed => None,
    };
    let Some(frame) = frame else { return };
    let close = async {
        if sink.send(Message::Close(Some(frame))).await.is_ok() {
            while matches!(source.next().await, Some(Ok(_))) {}
        }
    };
    let _ = tokio::time::timeout(CLOSING, close).await;
}

/// Sends all output, then the exit.
async fn send_output<S>(mut reader: Reader, sink: &mut S) -> Option<CloseFrame>
where
    S: SinkExt<Message, Error = SocketError> + Unpin,
{
    loop {
        let message = reader.next(|chunk| match chunk {
            Chunk::Data(_, bytes) => Some(Ok(Message::Binary(Bytes::copy_from_slice(bytes)))),
            Chunk::Gap(_) => None,
            Chunk::End(exit_code) => Some(Err(Some(exit_code))),
            Chunk::Gone => Some(Err(None)),
        });
        match message {
            Some(Some(Ok(message))) => sink.send(message).await.ok()?,
            Some(Some(Err(exit_code))) => {
                if let Some(exit_code) = exit_code {
                    let exit = serde_json::to_string(&AttachMessage::Exit { exit_code }).ok()?;
                    sink.send(Message::Text(exit.into())).await.ok()?;
                }
                return Some(close_frame(CloseCode::Normal, "the process has exited"));
            }
            // A gap: what follows is what is still kept.
            Some(None) => {}
            None => {
                if tokio::time::timeout(PING, reader.changed()).await.is_err() {
                    sink.send(Message::Ping(Bytes::new())).await.ok()?;
                }
            }
        }
    }
}

enum Action {
    Bytes(Bytes),
    Eof,
}

/// Reads the client's messages until it leaves or breaks the rules.
async fn receive<S>(
    process: &Process,
    source: &mut S,
    input: mpsc::Sender<Action>,
) -> Option<CloseFrame>
where
    S: futures_util::Stream<Item = std::result::Result<Message, SocketError>> + Unpin,
{
    loop {
        let action = match source.next().await? {
            Ok(Message::Binary(bytes)) => Action::Bytes(bytes),
            Ok(Message::Text(text)) => match serde_json::from_str(&text) {
                Ok(AttachMessage::Resize { rows, cols }) => {
                    match resize::apply(process, rows, cols) {
                        Ok(()) => {}
                        // Its viewers have output to read still.
                        Err(error) if error.0.code() == ErrorCode::ProcessExited => {}
                        Err(_) => {
                            let why = "resize: rows and cols from 1 to 65535, terminals only";
                            return Some(close_frame(CloseCode::Policy, why));
                        }
                    }
                    continue;
                }
                Ok(AttachMessage::Eof) => Action::Eof,
                _ => {
                    let why = "text messages are JSON: resize or eof";
                    return Some(close_frame(CloseCode::Policy, why));
                }
            },
            // The library answers pings and closes.
            Ok(_) => continue,
            Err(SocketError::Capacity(_)) => {
                return Some(close_frame(CloseCode::Size, "messages may be up to 1 MiB"));
            }
            Err(_) => return None,
        };
        input.send(action).await.ok()?;
    }
}

/// Writes input in order, waiting for a process that does not read. Input to one that has closed
/// its own is dropped.
async fn feed_input(process: &Process, mut queue: mpsc::Receiver<Action>) {
    while let Some(action) = queue.recv().await {
        let (bytes, eof) = match action {
            Action::Bytes(bytes) => (bytes, false),
            Action::Eof => (Bytes::new(), true),
        };
        process.input.write(&bytes, eof, None, &process.ending).await;
    }
    std::future::pending::<()>().await;
}
