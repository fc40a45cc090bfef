//! A server with fakes behind it.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use browserd_api::browser::{EndReason, SessionConfig};
use browserd_api::{ProjectId, ReplayId, SessionId};
use browserd_fleet::{
    BrowserStream, ByteStream, CommandError, Fleet, FleetOptions, Headroom, Instance, ProjectFleet,
    Runtime, RuntimeEvent, StartError, Urgency,
};
use browserd_protocol::Route;
use browserd_server::{
    ApiKey, ApiKeys, Permissions, Profiles, Recordings, Retention, Server, ServerConfig,
    TokenSecret,
};
use browserd_store::{Blobs, DiskBlobs, SqliteStore, Store};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::chromium::Chromium;
use crate::client::{Answer, Client};
use crate::guest;

pub(crate) const KEY: &str = "sk_test";
/// A key of another project.
pub(crate) const OTHER_KEY: &str = "sk_other";

/// A running server and its insides.
pub(crate) struct Fixture {
    pub(crate) client: Client,
    pub(crate) runtime: Arc<FakeRuntime>,
    /// The sessions of [`KEY`]'s project.
    pub(crate) fleet: ProjectFleet,
    /// The project of [`OTHER_KEY`].
    pub(crate) other: ProjectId,
    /// Where files are kept.
    pub(crate) blobs: Arc<dyn Blobs>,
    _kept: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<io::Result<()>>,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::with_permits(10).await
    }

    pub(crate) async fn with_permits(permits: usize) -> Self {
        Self::with(permits, |_| {}).await
    }

    pub(crate) async fn with(permits: usize, adjust: impl FnOnce(&mut ServerConfig)) -> Self {
        let runtime = Arc::new(FakeRuntime {
            dir: tempfile::tempdir().unwrap(),
            chromium: Chromium::start().await,
            events: Mutex::default(),
            guests: Mutex::default(),
            offered: Offered::default(),
            routes: Arc::default(),
            dials: Arc::default(),
        });
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.unwrap());
        let fleet = Fleet::start(
            Arc::clone(&store),
            Arc::clone(&runtime) as Arc<dyn Runtime>,
            FleetOptions::cold(permits),
        )
        .await
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = format!("http://{address}").parse().unwrap();
        let mut config =
            ServerConfig::new(url, TokenSecret::new(Box::new([7; 32])), guest::document());
        config.shutdown_grace = std::time::Duration::from_secs(5);
        let kept = tempfile::tempdir().unwrap();
        let blobs: Arc<dyn Blobs> = Arc::new(DiskBlobs::open(kept.path().join("blobs")).unwrap());
        config.profiles = Some(Profiles::new(Arc::clone(&store), Arc::clone(&blobs)));
        config.recordings = Some(Recordings {
            blobs: Arc::clone(&blobs),
            limit_bytes: 1 << 20,
            retention: Retention::default(),
        });
        adjust(&mut config);
        let key = |key: &str, project| ApiKey {
            id: key.to_owned(),
            hash: ApiKeys::hash(key.as_bytes()),
            project,
            permissions: Permissions::All,
        };
        let other = ProjectId::generate();
        let keys = ApiKeys::new([key(KEY, ProjectId::default()), key(OTHER_KEY, other.clone())]);
        let server = Server::new(config, fleet.clone(), keys);
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.serve(listener, async {
            let _ = stopped.await;
        }));
        let fleet = fleet.project(&ProjectId::default());
        let client = Client::new(address);
        Self { client, runtime, fleet, other, blobs, _kept: kept, stop: Some(stop), served }
    }

    /// A new session, as the API shows it.
    pub(crate) async fn session(&self) -> Value {
        let answer = self.post("/browsers", &json!({"headless": true})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Asks in another project than the other methods.
    pub(crate) async fn elsewhere(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.client.call(method, path, Some(OTHER_KEY), body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.client.call("GET", path, Some(KEY), None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.client.call("POST", path, Some(KEY), Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.client.call("PATCH", path, Some(KEY), Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.client.call("DELETE", path, Some(KEY), None).await
    }

    /// Stops the server and waits until it is gone.
    pub(crate) async fn shut_down(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        (&mut self.served).await.unwrap().unwrap();
    }
}

/// The `jwt` of a session as the API shows it.
pub(crate) fn token(session: &Value) -> String {
    session["cdp_ws_url"].as_str().unwrap().split_once("jwt=").unwrap().1.to_owned()
}

pub(crate) fn id(session: &Value) -> String {
    session["session_id"].as_str().unwrap().to_owned()
}

/// Starts fake sessions at once.
pub(crate) struct FakeRuntime {
    dir: tempfile::TempDir,
    pub(crate) chromium: Chromium,
    events: Mutex<HashMap<SessionId, mpsc::Sender<RuntimeEvent>>>,
    guests: Mutex<HashMap<SessionId, JoinHandle<()>>>,
    /// What the next session that is asked for a file has on offer: its ticket, and the file.
    pub(crate) offered: Offered,
    /// Egress routes that running sessions were given.
    pub(crate) routes: Arc<Mutex<Vec<Route>>>,
    /// How often guests were dialed.
    pub(crate) dials: Arc<AtomicUsize>,
}

type Offered = Arc<Mutex<Option<(u64, std::fs::File)>>>;

impl FakeRuntime {
    fn socket(&self, id: &SessionId) -> PathBuf {
        self.dir.path().join(id.as_str())
    }

    /// Puts a guest of the test's own in place of a session's usual one.
    pub(crate) fn replace_guest(
        &self,
        id: &str,
        serve: impl FnOnce(tokio::net::UnixListener) -> JoinHandle<()>,
    ) {
        let id: SessionId = id.parse().unwrap();
        self.kill_guest(id.as_str());
        let listener = tokio::net::UnixListener::bind(self.socket(&id)).unwrap();
        self.guests.lock().insert(id, serve(listener));
    }

    /// The guest is gone, and its socket with it.
    pub(crate) fn kill_guest(&self, id: &str) {
        let id: SessionId = id.parse().unwrap();
        if let Some(guest) = self.guests.lock().remove(&id) {
            guest.abort();
        }
        let _ = std::fs::remove_file(self.socket(&id));
    }

    /// The session is over by itself.
    pub(crate) async fn lose(&self, id: &str, reason: EndReason) {
        let id: SessionId = id.parse().unwrap();
        let events = self.events.lock().remove(&id).unwrap();
        events
            .send(RuntimeEvent::Ended { reason, detail: Some("as the test asked".into()) })
            .await
            .unwrap();
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn start(
        &self,
        id: &SessionId,
        _: &SessionConfig,
        _: &Route,
        _: Urgency,
        events: mpsc::Sender<RuntimeEvent>,
    ) -> Result<Box<dyn Instance>, StartError> {
        let socket = self.socket(id);
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        self.guests.lock().insert(id.clone(), guest::serve(listener));
        self.events.lock().insert(id.clone(), events.clone());
        let offered = Arc::clone(&self.offered);
        let (routes, dials) = (Arc::clone(&self.routes), Arc::clone(&self.dials));
        let port = self.chromium.port;
        Ok(Box::new(FakeInstance { socket, port, offered, routes, dials, events }))
    }

    fn programs_stamp(&self) -> u64 {
        0
    }

    fn headroom(&self) -> Headroom {
        Headroom::PLENTY
    }

    async fn reconcile(&self) -> io::Result<Vec<SessionId>> {
        Ok(Vec::new())
    }

    async fn open_rescued(&self, _: &SessionId, _: &ReplayId) -> io::Result<Option<std::fs::File>> {
        Ok(None)
    }

    async fn drop_rescued(&self, _: &SessionId, _: &ReplayId) -> io::Result<()> {
        Ok(())
    }

    async fn drop_rescued_except(&self, _: &[SessionId]) -> io::Result<()> {
        Ok(())
    }
}

struct FakeInstance {
    socket: PathBuf,
    port: u16,
    offered: Offered,
    routes: Arc<Mutex<Vec<Route>>>,
    dials: Arc<AtomicUsize>,
    events: mpsc::Sender<RuntimeEvent>,
}

#[async_trait]
impl Instance for FakeInstance {
    async fn dial_guest(&self) -> io::Result<ByteStream> {
        self.dials.fetch_add(1, Ordering::SeqCst);
        Ok(UnixStream::connect(&self.socket).await?.into())
    }

    async fn dial_browser(&self) -> io::Result<BrowserStream> {
        Ok(BrowserStream {
            stream: TcpStream::connect(("127.0.0.1", self.port)).await?.into(),
            host: format!("127.0.0.1:{}", self.port),
            path: "/devtools/browser/11111111-2222-3333-4444-555555555555".into(),
        })
    }

    async fn take_file(&self, ticket: u64) -> io::Result<std::fs::File> {
        match self.offered.lock().take() {
            Some((offered, file)) if offered == ticket => Ok(file),
            _ => Err(io::Error::other("no such file is on offer")),
        }
    }

    async fn assign(&self, _: &SessionConfig, _: &Route, _: bool) -> Result<(), CommandError> {
        Ok(())
    }

    async fn route(&self, route: Route) -> Result<(), CommandError> {
        self.routes.lock().push(route);
        Ok(())
    }

    async fn ping(&self) -> Result<(), CommandError> {
        Ok(())
    }

    fn freeze(&self, _: bool) -> BoxFuture<'static, bool> {
        ready(false).boxed()
    }

    async fn page_out(&self) -> std::io::Result<bool> {
        Ok(false)
    }

    fn end(&self, reason: EndReason) {
        let events = self.events.clone();
        tokio::spawn(async move {
            let _ = events.send(RuntimeEvent::Ended { reason, detail: None }).await;
        });
    }
}
