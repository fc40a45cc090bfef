//! A Chromium: discovery answers, and `WebSocket`s that repeat what they hear.

use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

pub(crate) struct Chromium {
    pub(crate) port: u16,
    /// Changes when all connections shall break.
    crash: watch::Sender<u32>,
    /// Heads of the requests so far.
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
    /// One message for each WebSocket whose client went away.
    pub(crate) left: tokio::sync::Mutex<mpsc::UnboundedReceiver<()>>,
    /// Sent as they are, to every request, instead of a real answer.
    pub(crate) raw: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Chromium {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (crash, crashed) = watch::channel(0);
        let (gone, left) = mpsc::unbounded_channel();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let raw = Arc::<Mutex<Option<Vec<u8>>>>::default();
        let (seen, answer) = (Arc::clone(&heads), Arc::clone(&raw));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut crashed = crashed.clone();
                crashed.mark_unchanged();
                let (gone, seen, answer) = (gone.clone(), Arc::clone(&seen), Arc::clone(&answer));
                tokio::spawn(async move {
                    tokio::select! {
                        () = connection(stream, seen, answer, gone) => {}
                        _ = crashed.changed() => {}
                    }
                });
            }
        });
        Self { port, crash, heads, left: tokio::sync::Mutex::new(left), raw }
    }

    /// Breaks all connections, in the middle of whatever they do.
    pub(crate) fn crash(&self) {
        self.crash.send_modify(|n| *n += 1);
    }
}

async fn connection(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<String>>>,
    raw: Arc<Mutex<Option<Vec<u8>>>>,
    gone: mpsc::UnboundedSender<()>,
) {
    let mut buffer = vec![0; 16384];
    let head = loop {
        let length = stream.peek(&mut buffer).await.unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if length == 0 {
            return;
        }
        if text.contains("\r\n\r\n") {
            break text;
        }
    };
    seen.lock().push(head.clone());
    let raw = raw.lock().clone();
    if let Some(raw) = raw {
        let _ = stream.write_all(&raw).await;
        // Until the other side has had enough.
        let _ = stream.read(&mut buffer).await;
        return;
    }
    let path = head.split(' ').nth(1).unwrap().to_owned();
    if head.to_ascii_lowercase().contains("upgrade: websocket") {
        if path.contains("missing") {
            let _ = stream
                .write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
                .await;
            return;
        }
        speak(stream, &path, gone).await;
        return;
    }
    let _ = stream.read(&mut buffer).await;
    let answer = discovery(&path);
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// Says which path it is, then repeats. `flood:N` is answered with one message of N bytes, and
/// `half` with the first bytes of one that never ends.
async fn speak(stream: TcpStream, path: &str, gone: mpsc::UnboundedSender<()>) {
    #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
    let callback = |_: &Request, response: Response| Ok(response);
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, callback).await.unwrap();
    socket.send(Message::text(path)).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        match &message {
            Message::Text(text) if text.starts_with("flood:") => {
                let length: usize = text[6..].parse().unwrap();
                socket.send(Message::binary(vec![b'x'; length])).await.unwrap();
            }
            Message::Text(text) if *text == "half" => {
                socket.get_mut().write_all(&[0x82, 126, 0x10, 0x00, 1, 2, 3]).await.unwrap();
            }
            Message::Text(_) | Message::Binary(_) => socket.send(message).await.unwrap(),
            _ => {}
        }
    }
    let _ = gone.send(());
}

fn discovery(path: &str) -> String {
    let target = r#"{"id":"A1","type":"page","title":"t","url":"about:blank","webSocketDebuggerUrl":"ws://127.0.0.1:1/devtools/page/A1","devtoolsFrontendUrl":"https://f.example/i.html?ws=127.0.0.1:1/devtools/page/A1"}"#;
    let (status, body) = match path {
        "/json/version" => ("200 OK", r#"{"Browser":"Fake/1","webSocketDebuggerUrl":"ws://127.0.0.1:1/devtools/browser/11111111-2222-3333-4444-555555555555"}"#.to_owned()),
        "/json/list" => ("200 OK", format!("[{target}]")),
        "/json/protocol" => ("200 OK", r#"{"domains":[]}"#.to_owned()),
        "/json/activate/A1" => ("200 OK", "Target activated".to_owned()),
        "/json/close/A1" => ("200 OK", "Target is closing".to_owned()),
        path if path.starts_with("/json/new") => ("200 OK", target.replace("about:blank", path)),
        _ => ("404 Not Found", "No such target id".to_owned()),
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
