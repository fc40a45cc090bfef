//! Sessions of this host whose shim and guest are scripts of a test: everything of `local` but the
//! walls, which a unit test cannot raise.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use browserd_api::browser::{EndReason, SessionConfig};
use browserd_api::{ReplayId, SessionId};
use browserd_protocol::lines::Lines;
use browserd_protocol::{
    GENERATION, GuestCommand, GuestReport, HandoffReply, HandoffRequest, LINE_LIMIT, RequestId,
    Route, ShimCommand, ShimReport, Walls, file, inside,
};
use browserd_sandbox::cgroup::{Controls, Hierarchies};
use parking_lot::Mutex;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::process::{ChildStdin, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::instance::{REPORT_LIMIT, Shim};
use super::{ledger, rescue, spawn};
use crate::conformance::{Subject, check};
use crate::{CommandError, Headroom, Instance, Runtime, RuntimeEvent, StartError, Urgency};

/// What the scripts do, and what is known of them.
#[derive(Default)]
struct Scripts {
    hold_starts: bool,
    /// What becomes of the next answers.
    answers: VecDeque<Answering>,
    routes: HashMap<SessionId, Route>,
    files: BTreeMap<(SessionId, u64), Vec<u8>>,
    crash: HashMap<SessionId, CancellationToken>,
    /// What is inside says much before it answers a ping.
    chatters: bool,
    /// Cancelled once a shim is told to end its session.
    told_to_end: CancellationToken,
}

/// What a shim does with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answering {
    Refused,
    /// It is carried out, and the answer does not arrive.
    Lost,
}

type Shared = Arc<Mutex<Scripts>>;

struct Scripted {
    state_dir: PathBuf,
    sessions: PathBuf,
    scripts: Shared,
}

#[async_trait]
impl Runtime for Scripted {
    async fn start(
        &self,
        id: &SessionId,
        _: &SessionConfig,
        route: &Route,
        urgency: Urgency,
        events: mpsc::Sender<RuntimeEvent>,
    ) -> Result<Box<dyn Instance>, StartError> {
        let dir = self.sessions.join(id.as_str());
        self.scripts.lock().routes.insert(id.clone(), route.clone());
        let launched = launch(&self.scripts, id.clone(), dir.clone());
        let controls = || Controls::of(&Hierarchies::default(), "", id.as_str());
        let instance = spawn::settle(launched, &dir, controls, urgency, events, None).await?;
        Ok(Box::new(instance))
    }

    fn programs_stamp(&self) -> u64 {
        0
    }

    fn headroom(&self) -> Headroom {
        Headroom::PLENTY
    }

    async fn reconcile(&self) -> io::Result<Vec<SessionId>> {
        ledger::clear_all(&self.sessions).await
    }

    async fn open_rescued(
        &self,
        session: &SessionId,
        replay: &ReplayId,
    ) -> io::Result<Option<File>> {
        rescue::open(&self.state_dir, session, replay)
    }

    async fn drop_rescued(&self, session: &SessionId, replay: &ReplayId) -> io::Result<()> {
        rescue::remove(&self.state_dir, session, replay)
    }

    async fn drop_rescued_except(&self, keep: &[SessionId]) -> io::Result<()> {
        rescue::remove_except(&self.state_dir, keep)
    }
}

/// A process in the shim's place, and its script.
fn launch(scripts: &Shared, id: SessionId, dir: PathBuf) -> io::Result<Shim> {
    std::fs::create_dir_all(&dir)?;
    let guest = UnixListener::bind(dir.join(file::GUEST_SOCK))?;
    let handoff = UnixListener::bind(dir.join(file::HANDOFF_SOCK))?;
    // It exits when its script is over.
    let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let alive = child.stdin.take();
    let (ours, theirs) = UnixStream::pair()?;
    tokio::spawn(script(Arc::clone(scripts), id, theirs, (guest, handoff), alive));
    let (read, write) = ours.into_split();
    Ok(Shim { child, reports: Lines::new(read, REPORT_LIMIT), commands: write })
}

async fn script(
    scripts: Shared,
    id: SessionId,
    serve: UnixStream,
    (guest, handoff): (UnixListener, UnixListener),
    _alive: Option<ChildStdin>,
) {
    let crash = CancellationToken::new();
    scripts.lock().crash.insert(id.clone(), crash.clone());
    let (read, mut write) = serve.into_split();
    let mut commands = Lines::new(read, LINE_LIMIT);
    let (session_id, walls) = (id.clone(), Walls::default());
    let hello =
        ShimReport::Hello { generation: GENERATION, session_id, pid: 1, ready: false, walls };
    say(&mut write, &hello).await;
    if !scripts.lock().hold_starts {
        say(&mut write, &ShimReport::Guest { said: GuestReport::Ready { after_ms: 1 } }).await;
    }
    loop {
        let command = tokio::select! {
            command = commands.next::<ShimCommand>() => command,
            Ok((guest, _)) = guest.accept() => {
                tokio::spawn(echo(guest));
                continue;
            }
            Ok((caller, _)) = handoff.accept() => {
                tokio::spawn(hand_out(Arc::clone(&scripts), id.clone(), caller));
                continue;
            }
            () = crash.cancelled() => return,
        };
        let Ok(Some(command)) = command else { return };
        if matches!(command, ShimCommand::Guest { told: GuestCommand::Ping { .. } })
            && scripts.lock().chatters
        {
            for nth in 0..64 {
                let said = GuestReport::WakeLock { held: nth % 2 == 0 };
                say(&mut write, &ShimReport::Guest { said }).await;
            }
        }
        let answering = match &command {
            ShimCommand::End { .. } => None,
            _ => scripts.lock().answers.pop_front(),
        };
        let refused = answering == Some(Answering::Refused);
        let failure = refused.then(|| "as the test asked".to_owned());
        let report = match command {
            ShimCommand::End { request, reason, detail } => {
                scripts.lock().told_to_end.cancel();
                say(&mut write, &ShimReport::Answered { request, failure: None }).await;
                let ended = ShimReport::Ended { reason, detail };
                return say(&mut write, &ended).await;
            }
            ShimCommand::Route { request, route } => {
                if !refused {
                    scripts.lock().routes.insert(id.clone(), route);
                }
                ShimReport::Answered { request, failure }
            }
            ShimCommand::Guest {
                told: GuestCommand::Assign { request, .. } | GuestCommand::Ping { request },
            } => ShimReport::Guest { said: GuestReport::Answered { request, failure } },
            ShimCommand::MeasureDisk { request } | ShimCommand::EndProcesses { request, .. } => {
                ShimReport::Answered { request, failure }
            }
            ShimCommand::Guest { told } => panic!("{told:?} is not from a server"),
        };
        // Nobody sent a command of this number.
        say(&mut write, &ShimReport::Answered { request: RequestId(u64::MAX), failure: None })
            .await;
        if answering != Some(Answering::Lost) {
            say(&mut write, &report).await;
        }
    }
}

async fn say(to: &mut OwnedWriteHalf, report: &ShimReport) {
    let line = serde_json::to_string(report).unwrap() + "\n";
    let _ = to.write_all(line.as_bytes()).await;
}

async fn echo(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite) {
    let (mut read, mut write) = tokio::io::split(stream);
    let _ = tokio::io::copy(&mut read, &mut write).await;
}

/// Answers one caller of the descriptor-passing socket.
async fn hand_out(scripts: Shared, id: SessionId, mut caller: UnixStream) {
    let mut ok = HandoffReply { ok: true, ..HandoffReply::default() };
    let fd: Option<OwnedFd> = match caller.read_u8().await.unwrap() {
        kind if kind == HandoffRequest::Cdp as u8 => {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            tokio::spawn(echo(listener.accept().await.unwrap().0));
            ok.host = listener.local_addr().unwrap().to_string();
            ok.browser_path = "/devtools/browser/1".to_owned();
            Some(near.into_std().unwrap().into())
        }
        _ => {
            let ticket = caller.read_u64().await.unwrap();
            scripts.lock().files.get(&(id, ticket)).map(|content| {
                let path = tempfile::NamedTempFile::new().unwrap();
                path.as_file().write_all(content).unwrap();
                path.reopen().unwrap().into()
            })
        }
    };
    ok.ok = fd.is_some();
    let line = serde_json::to_string(&ok).unwrap() + "\n";
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<_> = fd.iter().map(AsFd::as_fd).collect();
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    }
    let line = [IoSlice::new(line.as_bytes())];
    sendmsg(&caller, &line, &mut ancillary, SendFlags::NOSIGNAL).unwrap();
}

struct Local {
    runtime: Arc<Scripted>,
    _folder: tempfile::TempDir,
}

impl Local {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().to_owned();
        let sessions = state_dir.join("sessions");
        std::fs::create_dir(&sessions).unwrap();
        let runtime = Arc::new(Scripted { state_dir, sessions, scripts: Shared::default() });
        Self { runtime, _folder: folder }
    }
}

impl Subject for Local {
    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::clone(&self.runtime) as _
    }

    fn hold_starts(&self) {
        self.runtime.scripts.lock().hold_starts = true;
    }

    fn route(&self, session: &SessionId) -> Route {
        self.runtime.scripts.lock().routes[session].clone()
    }

    fn refuse_next_route(&self) {
        self.runtime.scripts.lock().answers.push_back(Answering::Refused);
    }

    fn offer(&self, session: &SessionId, content: &[u8]) -> u64 {
        self.runtime.scripts.lock().files.insert((session.clone(), 7), content.to_vec());
        7
    }

    fn record(&self, session: &SessionId, replay: &ReplayId, content: &[u8]) {
        let root = self.runtime.sessions.join(session.as_str()).join("upper");
        let folder = root.join(inside::REPLAYS.trim_start_matches('/'));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{replay}.mp4")), content).unwrap();
    }

    fn crash(&self, session: &SessionId) {
        self.runtime.scripts.lock().crash[session].cancel();
    }

    fn is_left(&self, session: &SessionId) -> bool {
        self.runtime.sessions.join(session.as_str()).exists()
    }
}

#[tokio::test]
async fn local_does_what_every_runtime_does() {
    check(Local::new).await;
}

#[tokio::test]
async fn a_lost_answer_concerns_its_own_call_only() {
    let local = Local::new();
    let (events, _kept) = mpsc::channel(16);
    let (id, config) = (SessionId::generate(), crate::Class::HEADLESS.template());
    let started = local.runtime.start(&id, &config, &Route::Direct, Urgency::Now, events).await;
    let instance = started.unwrap_or_else(|error| panic!("{error}"));
    local.runtime.scripts.lock().answers = VecDeque::from([Answering::Lost, Answering::Refused]);
    // Both are sent, in this order, before either is answered.
    let mut lost = std::pin::pin!(instance.route(Route::Closed));
    let second = async {
        tokio::task::yield_now().await;
        instance.route(Route::Direct).await
    };
    let answer = tokio::select! {
        biased;
        answer = &mut lost => panic!("{answer:?} is the answer to another call"),
        answer = second => answer,
    };
    assert_eq!(answer, Err(CommandError::Refused("as the test asked".to_owned())));
    // And the first one is not answered by what comes later.
    assert_eq!(instance.route(Route::Closed).await, Ok(()));
    let unanswered = CommandError::Unanswered(super::instance::ANSWER_WITHIN);
    assert_eq!(lost.await, Err(unanswered));
}

/// Who takes the events may be busy, and wait for an answer; an end is heard all the same.
#[tokio::test]
async fn an_end_is_heard_while_nobody_takes_events() {
    let local = Local::new();
    let (sender, mut events) = mpsc::channel(1);
    let (id, config) = (SessionId::generate(), crate::Class::HEADLESS.template());
    let started = local.runtime.start(&id, &config, &Route::Direct, Urgency::Now, sender).await;
    let instance = started.unwrap_or_else(|error| panic!("{error}"));
    let told_to_end = {
        let mut scripts = local.runtime.scripts.lock();
        scripts.chatters = true;
        scripts.told_to_end.clone()
    };
    let mut pinged = std::pin::pin!(instance.ping());
    tokio::select! {
        answer = &mut pinged => panic!("{answer:?} overtook what was said before it"),
        () = async { while events.is_empty() { tokio::task::yield_now().await } } => {}
    }
    instance.end(EndReason::Deleted);
    let told = tokio::time::timeout(std::time::Duration::from_secs(30), told_to_end.cancelled());
    told.await.expect("the shim is told to end the session");
    let mut last = None;
    while let Some(event) = events.recv().await {
        last = Some(event);
    }
    let reason = EndReason::Deleted;
    assert_eq!(last, Some(RuntimeEvent::Ended { reason, detail: None }));
    // Answered on the way, or over with its session.
    let _ = pinged.await;
}
