//! The update server of extensions by policy: `update.xml` and the `.crx` of each, on the session's
//! loopback.
//!
//! Everybody inside may read them; they are the client's own and hold nothing that is not in its
//! archive. Files are read through descriptors that were open before anybody inside could touch them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use browserd_chromium::packed::manifest;
use browserd_guest_browser::PolicyExtension;
use browserd_rest::file::chunks;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OnceCell, Semaphore};
use tower::ServiceExt;

use super::packed::Packed;

/// The port extensions may have been packed for.
const PORT: u16 = 10001;
/// Connections at one time; more are closed.
const CONNECTIONS: usize = 16;
/// How long a request's head may take.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long the listener rests after the kernel refused to accept.
const REST: Duration = Duration::from_millis(50);

/// The server. Cheap to clone; listens from the first extension on.
#[derive(Clone, Default)]
pub(super) struct Updates(Arc<Inner>);

#[derive(Default)]
struct Inner {
    port: OnceCell<u16>,
    files: Arc<Mutex<Files>>,
}

/// What is served, by the extension's name.
type Files = HashMap<String, Served>;

#[derive(Clone)]
struct Served {
    file: String,
    manifest: String,
    crx: Arc<File>,
    size: u64,
}

impl Updates {
    /// Serves an extension from now on, and answers with what the policy needs.
    pub(super) async fn serve(&self, name: &str, packed: Packed) -> io::Result<PolicyExtension> {
        let port = *self.0.port.get_or_try_init(|| listen(Arc::clone(&self.0.files))).await?;
        let base = format!("http://127.0.0.1:{port}/extensions/{name}");
        let Packed { id, version, crx, size } = packed;
        let file = format!("{id}.crx");
        let manifest = manifest::offering(&id, &version, &format!("{base}/{file}"));
        let served = Served { file, manifest, crx: Arc::new(crx), size };
        self.0.files.lock().insert(name.to_owned(), served);
        Ok(PolicyExtension { id, update_url: format!("{base}/update.xml") })
    }

    /// Serves these no more.
    pub(super) fn forget<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mut files = self.0.files.lock();
        for name in names {
            files.remove(name);
        }
    }
}

/// Listens on the port of old, or, when a program of the session has it, on another.
async fn listen(files: Arc<Mutex<Files>>) -> io::Result<u16> {
    let listener = match TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?
        }
        bound => bound?,
    };
    let port = listener.local_addr()?.port();
    tokio::spawn(accept(listener, router(files)));
    Ok(port)
}

fn router(files: Arc<Mutex<Files>>) -> Router {
    Router::new().route("/extensions/{name}/{file}", get(answer)).with_state(files)
}

async fn accept(listener: TcpListener, router: Router) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the server for policy-installed extensions cannot accept a connection and tries again");
                tokio::time::sleep(REST).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        let router = router.clone();
        tokio::spawn(async move {
            speak(stream, router).await;
            drop(slot);
        });
    }
}

async fn speak(stream: TcpStream, router: Router) {
    let service = service_fn(move |request| router.clone().oneshot(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the update server broke off");
    }
}

async fn answer(
    State(files): State<Arc<Mutex<Files>>>,
    Path((name, file)): Path<(String, String)>,
) -> Response {
    let found = files.lock().get(&name).cloned();
    match found {
        Some(served) if file == "update.xml" => {
            ([(CONTENT_TYPE, "text/xml"), (CACHE_CONTROL, "no-store")], served.manifest)
                .into_response()
        }
        Some(served) if file == served.file => (
            [
                (CONTENT_TYPE, "application/x-chrome-extension".to_owned()),
                (CACHE_CONTROL, "no-store".to_owned()),
                (CONTENT_LENGTH, served.size.to_string()),
            ],
            Body::from_stream(chunks(move || Ok(Arc::clone(&served.crx)), 0, served.size)),
        )
            .into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http::Request;
    use http_body_util::BodyExt;

    use super::*;

    async fn ask(updates: &Updates, method: &str, path: &str) -> (StatusCode, Vec<u8>) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let answer = router(Arc::clone(&updates.0.files)).oneshot(request).await.unwrap();
        let status = answer.status();
        (status, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    #[tokio::test]
    async fn only_the_two_files_of_what_is_loaded() {
        let content = vec![7; 700_000];
        let mut crx = tempfile::tempfile().unwrap();
        crx.write_all(&content).unwrap();
        let (id, version) = ("a".repeat(32), "1.0".to_owned());
        let packed = Packed { id: id.clone(), version, crx, size: content.len() as u64 };
        let updates = Updates::default();
        let served = updates.serve("x", packed).await.unwrap();
        let base = served.update_url.strip_suffix("/extensions/x/update.xml").unwrap();
        let (status, text) = ask(&updates, "GET", "/extensions/x/update.xml").await;
        let text = String::from_utf8(text).unwrap();
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains(&format!("{base}/extensions/x/{id}.crx")), "{text}");
        let crx = format!("/extensions/x/{id}.crx");
        assert_eq!(ask(&updates, "GET", &crx).await, (StatusCode::OK, content));
        for path in [
            "/",
            "/extensions/x",
            "/extensions/y/update.xml",
            "/extensions/x/manifest.json",
            "/extensions/x/..%2fx%2fupdate.xml",
            "/extensions/../etc/passwd",
        ] {
            assert_eq!(ask(&updates, "GET", path).await.0, StatusCode::NOT_FOUND, "{path}");
        }
        assert_eq!(ask(&updates, "POST", &crx).await.0, StatusCode::METHOD_NOT_ALLOWED);
        updates.forget(["x"].into_iter());
        assert_eq!(ask(&updates, "GET", &crx).await.0, StatusCode::NOT_FOUND);
    }
}
