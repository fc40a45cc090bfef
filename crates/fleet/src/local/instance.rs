//! A session on this host while it runs, and its clearing away.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use browserd_api::browser::{EndReason, SessionConfig};
use browserd_protocol::lines::Lines;
use browserd_protocol::{
    Assignment, GuestCommand, GuestReport, LINE_LIMIT, Route, ShimCommand, ShimReport, file,
};
use browserd_sandbox::cgroup::Controls;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};

use super::{CPU_WEIGHT, handoff, host, ledger};
use crate::{BrowserSocket, Instance, RuntimeEvent};

/// How long a shim may take to end its session before it is killed and its cgroup with it.
const END_WITHIN: Duration = Duration::from_secs(10);

/// How long a running session may take to become what it is asked to be.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Swap below which nothing is pushed out: what is left of it is for emergencies.
const LEAST_SWAP: u64 = 256 << 20;

/// A shim this server started.
pub(super) struct Shim {
    pub(super) child: Child,
    pub(super) reports: Lines<OwnedReadHalf>,
    pub(super) commands: OwnedWriteHalf,
}

/// Longest report of a shim, bytes: it may have a line of the guest's in it.
pub(super) const REPORT_LIMIT: usize = 2 * LINE_LIMIT;

/// What is asked of the one who follows a session.
enum Ask {
    End(EndReason),
    Assign(Assignment, Option<oneshot::Sender<io::Result<()>>>),
    Route(Route, oneshot::Sender<io::Result<()>>),
}

/// A running session on this host.
pub(super) struct LocalInstance {
    dir: PathBuf,
    controls: Controls,
    asks: mpsc::Sender<Ask>,
}

impl LocalInstance {
    /// Takes over a ready session; its events go to `events`.
    pub(super) fn new(
        shim: Shim,
        dir: PathBuf,
        controls: Controls,
        events: mpsc::Sender<RuntimeEvent>,
    ) -> Self {
        let (asks, asked) = mpsc::channel(2);
        tokio::spawn(follow(shim, dir.clone(), asked, events));
        Self { dir, controls, asks }
    }

    async fn ask(&self, ask: Ask) -> io::Result<()> {
        self.asks.send(ask).await.map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::Error::other("the session has ended")
}

/// Waits for what a session says of what it was asked.
async fn answered(answer: oneshot::Receiver<io::Result<()>>) -> io::Result<()> {
    match tokio::time::timeout(ANSWER_WITHIN, answer).await {
        Ok(answer) => answer.map_err(|_| gone())?,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[async_trait]
impl Instance for LocalInstance {
    fn guest_socket(&self) -> PathBuf {
        self.dir.join(file::GUEST_SOCK)
    }

    async fn browser_socket(&self) -> io::Result<BrowserSocket> {
        let (reply, stream) = handoff::connection(&self.dir.join(file::DOOR_SOCK)).await?;
        stream.set_nonblocking(true)?;
        Ok(BrowserSocket {
            stream: TcpStream::from_std(stream)?,
            host: reply.host,
            browser_path: reply.browser_path,
        })
    }

    async fn offered_file(&self, ticket: u64) -> io::Result<File> {
        handoff::file(&self.dir.join(file::DOOR_SOCK), ticket).await
    }

    async fn assign(&self, config: &SessionConfig, route: &Route, done: bool) -> io::Result<()> {
        self.controls.weigh(CPU_WEIGHT).map_err(io::Error::other)?;
        // Before anything is opened. It was started with the direct way, and is of no use if it keeps it.
        if *route != Route::Direct {
            self.route(route.clone()).await?;
        }
        let to = Assignment {
            viewport: config.viewport,
            kiosk_mode: config.kiosk_mode,
            start_url: config.start_url.clone(),
        };
        if !done {
            return self.ask(Ask::Assign(to, None)).await;
        }
        let (sender, answer) = oneshot::channel();
        self.ask(Ask::Assign(to, Some(sender))).await?;
        answered(answer).await
    }

    async fn route(&self, route: Route) -> io::Result<()> {
        let (sender, answer) = oneshot::channel();
        self.ask(Ask::Route(route, sender)).await?;
        answered(answer).await
    }

    fn freeze(&self, frozen: bool) -> bool {
        if !self.controls.can_freeze() {
            return false;
        }
        match self.controls.freeze(frozen) {
            Ok(()) => frozen,
            // Gone with its session, whose end is about to be told.
            Err(error) => {
                tracing::debug!(%error, frozen, "the session's state stays as it is");
                !frozen
            }
        }
    }

    async fn page_out(&self) -> io::Result<bool> {
        if host::swap_left() < LEAST_SWAP {
            return Ok(false);
        }
        let controls = self.controls.clone();
        let reclaimed = tokio::task::spawn_blocking(move || controls.reclaim()).await;
        reclaimed.map_err(io::Error::other)?.map_err(io::Error::other)
    }

    async fn end(&self, reason: EndReason) {
        let _ = self.asks.send(Ask::End(reason)).await;
    }
}

/// Follows a session to its end and clears it away.
async fn follow(
    mut shim: Shim,
    dir: PathBuf,
    mut asked: mpsc::Receiver<Ask>,
    events: mpsc::Sender<RuntimeEvent>,
) {
    let mut host_ooms = host_oom_kills();
    let mut deadline = None;
    let mut assigned: Option<oneshot::Sender<io::Result<()>>> = None;
    // Answered in the order in which they are asked.
    let mut routed: VecDeque<oneshot::Sender<io::Result<()>>> = VecDeque::new();
    let (reason, detail) = loop {
        let late = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            report = shim.reports.next() => match report {
                Ok(Some(ShimReport::Ended { reason, detail })) => break (reason, Some(detail)),
                Ok(Some(ShimReport::Guest { said: GuestReport::BrowserLost { detail } })) => {
                    let _ = events.send(RuntimeEvent::BrowserLost(detail)).await;
                }
                Ok(Some(ShimReport::Guest { said: GuestReport::BrowserBack })) => {
                    let _ = events.send(RuntimeEvent::BrowserBack).await;
                }
                Ok(Some(ShimReport::Guest { said: GuestReport::StayAwake { wanted } })) => {
                    let _ = events.send(RuntimeEvent::StayAwake(wanted)).await;
                }
                Ok(Some(ShimReport::Guest { said: GuestReport::Assigned { failure } })) => {
                    answer(assigned.take(), failure);
                }
                Ok(Some(ShimReport::Routed { failure })) => {
                    if let Some(why) = &failure {
                        tracing::error!(dir = %dir.display(), why, "a session keeps its way out");
                    }
                    answer(routed.pop_front(), failure);
                }
                Ok(Some(ShimReport::GuestError { line })) => {
                    tracing::error!(dir = %dir.display(), "guest: {line}");
                }
                Ok(Some(ShimReport::DiskOver { detail })) => {
                    tracing::warn!(dir = %dir.display(), detail, "a session is over its disk limit");
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break shim_death(&mut shim.child, host_ooms).await,
            },
            Some(ask) = asked.recv(), if deadline.is_none() => {
                let command = match ask {
                    Ask::End(reason) => {
                        deadline = Some(tokio::time::Instant::now() + END_WITHIN);
                        ShimCommand::End { reason }
                    }
                    Ask::Assign(to, done) => {
                        assigned = done;
                        // What the host killed while nobody had this session says nothing of it.
                        host_ooms = host_oom_kills();
                        ShimCommand::Guest { told: GuestCommand::Assign(to) }
                    }
                    Ask::Route(route, done) => {
                        routed.push_back(done);
                        ShimCommand::Route { route }
                    }
                };
                let mut line = serde_json::to_vec(&command).unwrap_or_default();
                line.push(b'\n');
                // A shim that cannot be told is dead or will be killed at the deadline.
                let _ = shim.commands.write_all(&line).await;
            }
            () = late => break (EndReason::Crashed, Some("the shim did not end the session in time".to_owned())),
        }
    };
    // The shim exits after `Ended`; if it does not, its session is over all the same.
    if tokio::time::timeout(Duration::from_secs(3), shim.child.wait()).await.is_err() {
        let _ = shim.child.kill().await;
    }
    if matches!(reason, EndReason::Crashed | EndReason::OutOfMemory) {
        ledger::tell_log(&dir);
    }
    if let Err(error) = ledger::clear_leftover(&dir).await {
        tracing::error!(%error, dir = %dir.display(), "a session could not be cleared away");
    }
    let detail = detail.filter(|detail| !detail.is_empty());
    let _ = events.send(RuntimeEvent::Ended { reason, detail }).await;
}

/// Tells whoever waits, if anybody does.
fn answer(to: Option<oneshot::Sender<io::Result<()>>>, failure: Option<String>) {
    if let Some(to) = to {
        let _ = to.send(failure.map_or(Ok(()), |why| Err(io::Error::other(why))));
    }
}

/// Why a shim went away without a word.
async fn shim_death(child: &mut Child, host_ooms: u64) -> (EndReason, Option<String>) {
    let _ = child.start_kill();
    let status = child.wait().await;
    let detail = match &status {
        Ok(status) => format!("the session's shim went away: {status}"),
        Err(error) => format!("the session's shim went away: {error}"),
    };
    // The kernel kills for memory with SIGKILL. Its count is the whole host's, so another session's
    // killed tab counts too: without the signal it says nothing about this shim.
    let killed = status.is_ok_and(|status| status.signal() == Some(9));
    if killed && host_oom_kills() > host_ooms {
        return (EndReason::OutOfMemory, Some(format!("{detail}; the host ran out of memory")));
    }
    (EndReason::Crashed, Some(detail))
}

/// How often the kernel has killed for want of memory on this host (/proc/vmstat).
fn host_oom_kills() -> u64 {
    let text = std::fs::read_to_string("/proc/vmstat").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}
