//! A session on this host while it runs, and its clearing away.

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
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot, watch};

use super::calls::{Callee, Calls, Waiter};
use super::freezer::Freezer;
use super::reserve::{Keeper, Kept};
use super::{CPU_WEIGHT, handoff, host, ledger};
use crate::{BrowserStream, ByteStream, CommandError, Instance, RuntimeEvent};

/// How long a shim may take to end its session before it is killed and its cgroup with it.
const END_WITHIN: Duration = Duration::from_secs(10);

/// How long a running session may take to carry out a command.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

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

/// Bytes of commands that may wait for a shim to read them.
const OUTGOING_LIMIT: usize = LINE_LIMIT;

/// What the task that follows a session is told to send.
pub(super) enum Command {
    /// For the disk's sake; and what happened, in words.
    End(EndReason, String),
    /// Only what clients started, and why.
    EndProcesses(String),
    MeasureDisk,
    Assign(Assignment, Option<Waiter>),
    Route(Route, Waiter),
    Ping(Waiter),
}

/// A running session on this host.
pub(super) struct LocalInstance {
    dir: PathBuf,
    controls: Controls,
    freezer: Freezer,
    commands: mpsc::Sender<Command>,
    /// The end that was asked for first. Not one of the commands: there may be no room for it, and who asks
    /// may be the one for whom what would make room waits.
    end: watch::Sender<Option<EndReason>>,
}

impl LocalInstance {
    /// Takes over a ready session; its events go to `events`.
    pub(super) fn new(
        shim: Shim,
        dir: PathBuf,
        controls: Controls,
        events: mpsc::Sender<RuntimeEvent>,
        keeper: Option<&Keeper>,
    ) -> Self {
        let (commands, told) = mpsc::channel(2);
        let name = dir.file_name().unwrap_or_default().to_string_lossy();
        let kept = keeper.map(|keeper| keeper.keep(&name, commands.clone()));
        let (end, ends) = watch::channel(None);
        tokio::spawn(follow(shim, dir.clone(), told, ends, events, kept));
        let freezer = Freezer::new({
            let controls = controls.clone();
            move |frozen| match controls.freeze(frozen) {
                Ok(()) => frozen,
                // Gone with its session, whose end is about to be told.
                Err(error) => {
                    tracing::debug!(%error, frozen, "the session's state stays as it is");
                    !frozen
                }
            }
        });
        Self { dir, controls, freezer, commands, end }
    }

    /// Sends a command that nobody waits for.
    async fn tell(&self, command: Command) -> Result<(), CommandError> {
        let sent = tokio::time::timeout(ANSWER_WITHIN, self.commands.send(command)).await;
        let sent = sent.map_err(|_| CommandError::Unanswered(ANSWER_WITHIN))?;
        sent.map_err(|_| CommandError::Gone)
    }

    /// Sends a command and waits for its answer, both within the deadline.
    async fn call(&self, command: impl FnOnce(Waiter) -> Command) -> Result<(), CommandError> {
        let (waiter, answer) = oneshot::channel();
        let exchange = async {
            self.commands.send(command(waiter)).await.map_err(|_| CommandError::Gone)?;
            answer.await.unwrap_or(Err(CommandError::Gone))
        };
        let answered = tokio::time::timeout(ANSWER_WITHIN, exchange).await;
        answered.unwrap_or(Err(CommandError::Unanswered(ANSWER_WITHIN)))
    }
}

#[async_trait]
impl Instance for LocalInstance {
    async fn dial_guest(&self) -> io::Result<ByteStream> {
        Ok(UnixStream::connect(self.dir.join(file::GUEST_SOCK)).await?.into())
    }

    async fn dial_browser(&self) -> io::Result<BrowserStream> {
        let (reply, stream) = handoff::connection(&self.dir.join(file::HANDOFF_SOCK)).await?;
        stream.set_nonblocking(true)?;
        // One small write a message each way: waiting to fill a segment would be pure delay.
        let _ = stream.set_nodelay(true);
        let stream = TcpStream::from_std(stream)?.into();
        Ok(BrowserStream { stream, host: reply.host, path: reply.browser_path })
    }

    async fn take_file(&self, ticket: u64) -> io::Result<File> {
        handoff::file(&self.dir.join(file::HANDOFF_SOCK), ticket).await
    }

    async fn assign(
        &self,
        config: &SessionConfig,
        route: &Route,
        done: bool,
    ) -> Result<(), CommandError> {
        let weighed = self.controls.weigh(CPU_WEIGHT);
        weighed.map_err(|error| CommandError::Refused(error.to_string()))?;
        // Before anything is opened. It was started with the direct route, and is of no use if it keeps it.
        if *route != Route::Direct {
            self.route(route.clone()).await?;
        }
        let to = Assignment {
            viewport: config.viewport,
            kiosk_mode: config.kiosk_mode,
            start_url: config.start_url.clone(),
        };
        match done {
            true => self.call(|waiter| Command::Assign(to, Some(waiter))).await,
            false => self.tell(Command::Assign(to, None)).await,
        }
    }

    async fn route(&self, route: Route) -> Result<(), CommandError> {
        self.call(|waiter| Command::Route(route, waiter)).await
    }

    async fn ping(&self) -> Result<(), CommandError> {
        self.call(Command::Ping).await
    }

    fn freeze(&self, frozen: bool) -> BoxFuture<'static, bool> {
        if !self.controls.can_freeze() {
            return ready(false).boxed();
        }
        // One whose writer is gone stays as it is.
        self.freezer.ask(frozen).map(move |done| done.unwrap_or(!frozen)).boxed()
    }

    async fn page_out(&self) -> io::Result<bool> {
        if host::swap_left() < LEAST_SWAP {
            return Ok(false);
        }
        let controls = self.controls.clone();
        let reclaimed = tokio::task::spawn_blocking(move || controls.reclaim()).await;
        reclaimed.map_err(io::Error::other)?.map_err(io::Error::other)
    }

    fn end(&self, reason: EndReason) {
        self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            end.get_or_insert(reason);
            is_first
        });
    }
}

/// Follows a session to its end and clears it away.
///
/// It never waits for one thing alone: whoever takes the events may wait for an answer of ours, and whoever
/// gives commands for an event to be taken.
///
/// ```text
///  shim ──reports──▶ follow ──event, when there is room──▶ session actor
///    ▲                 │ ▲                                      │
///    └────commands─────┘ └───────commands, end──────────────────┘
/// ```
async fn follow(
    mut shim: Shim,
    dir: PathBuf,
    mut told: mpsc::Receiver<Command>,
    mut ends: watch::Receiver<Option<EndReason>>,
    events: mpsc::Sender<RuntimeEvent>,
    kept: Option<Kept>,
) {
    let session = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut host_ooms = host_oom_kills();
    let mut deadline = None;
    let mut calls = Calls::new(session.clone());
    let mut outgoing = Vec::new();
    // One that is to be told. No report is read before it is: what is inside may make any number of them.
    let mut event = None;
    let (reason, detail) = loop {
        let late = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            report = shim.reports.next(), if event.is_none() => match report {
                Ok(Some(ShimReport::Ended { reason, detail })) => break (reason, Some(detail)),
                Ok(Some(ShimReport::Guest { said: GuestReport::BrowserLost { detail } })) => {
                    event = Some(RuntimeEvent::BrowserLost(detail));
                }
                Ok(Some(ShimReport::Guest { said: GuestReport::BrowserBack })) => {
                    event = Some(RuntimeEvent::BrowserBack);
                }
                Ok(Some(ShimReport::Guest { said: GuestReport::WakeLock { held } })) => {
                    event = Some(RuntimeEvent::WakeLock(held));
                }
                Ok(Some(ShimReport::Answered { request, failure })) => {
                    calls.answered(Callee::Shim, request, failure);
                }
                Ok(Some(ShimReport::Guest {
                    said: GuestReport::Answered { request, failure },
                })) => calls.answered(Callee::Guest, request, failure),
                Ok(Some(ShimReport::GuestError { line })) => {
                    tracing::error!(session, "the guest logged an error: {line}");
                }
                Ok(Some(ShimReport::DiskOver { detail })) => {
                    tracing::warn!(session, detail, "a session is over its disk limit; what clients started in it was killed");
                }
                Ok(Some(ShimReport::Disk { bytes })) => {
                    if let Some(kept) = &kept {
                        kept.counted(bytes);
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break shim_death(&mut shim.child, host_ooms).await,
            },
            room = events.reserve(), if event.is_some() => match (room, event.take()) {
                (Ok(room), Some(event)) => room.send(event),
                // Nobody wants to know.
                (Err(_), _) | (_, None) => {}
            },
            reason = asked_to_end(&mut ends), if deadline.is_none() => {
                deadline = Some(tokio::time::Instant::now() + END_WITHIN);
                push(&mut outgoing, &end(&mut calls, reason, String::new()));
            }
            Some(command) = told.recv(), if deadline.is_none() => {
                let command = match command {
                    Command::End(reason, detail) => {
                        deadline = Some(tokio::time::Instant::now() + END_WITHIN);
                        end(&mut calls, reason, detail)
                    }
                    // The keeper sees that nothing came of it.
                    Command::EndProcesses(_) | Command::MeasureDisk
                        if outgoing.len() > OUTGOING_LIMIT => continue,
                    Command::EndProcesses(why) => {
                        let request = calls.open(Callee::Shim, "kill what clients started", None);
                        ShimCommand::EndProcesses { request, why }
                    }
                    Command::MeasureDisk => {
                        let request = calls.open(Callee::Shim, "count its disk", None);
                        ShimCommand::MeasureDisk { request }
                    }
                    Command::Assign(_, waiter) if outgoing.len() > OUTGOING_LIMIT => {
                        refuse(waiter);
                        continue;
                    }
                    Command::Route(_, waiter) | Command::Ping(waiter)
                        if outgoing.len() > OUTGOING_LIMIT =>
                    {
                        refuse(Some(waiter));
                        continue;
                    }
                    Command::Assign(to, waiter) => {
                        // What the host killed for memory while it was in the pool says nothing about it.
                        host_ooms = host_oom_kills();
                        let request = calls.open(Callee::Guest, "become its client's", waiter);
                        ShimCommand::Guest { told: GuestCommand::Assign { request, to } }
                    }
                    Command::Ping(waiter) => {
                        let request = calls.open(Callee::Guest, "answer", Some(waiter));
                        ShimCommand::Guest { told: GuestCommand::Ping { request } }
                    }
                    Command::Route(route, waiter) => {
                        let request = calls.open(Callee::Shim, "take another egress route", Some(waiter));
                        ShimCommand::Route { request, route }
                    }
                };
                push(&mut outgoing, &command);
            }
            () = send(&mut shim.commands, &mut outgoing), if !outgoing.is_empty() => {}
            () = late => break (EndReason::Crashed, Some("the shim did not end the session in time".to_owned())),
        }
    };
    // Callers learn of the end at once, and not when all is cleared away.
    drop((told, calls));
    // The shim exits after `Ended`; if it does not, its session is over all the same.
    if tokio::time::timeout(Duration::from_secs(3), shim.child.wait()).await.is_err() {
        let _ = shim.child.kill().await;
    }
    if matches!(reason, EndReason::Crashed | EndReason::OutOfMemory) {
        ledger::tell_log(&dir);
    }
    if let Err(error) = ledger::clear_leftover(&dir).await {
        tracing::error!(session, %error, dir = %dir.display(), "a session could not be cleared away; the next start of the server tries again");
    }
    // What it had is free.
    drop(kept);
    let detail = detail.filter(|detail| !detail.is_empty());
    let _ = events.send(RuntimeEvent::Ended { reason, detail }).await;
}

/// The end that is asked for. Safe to cancel.
async fn asked_to_end(ends: &mut watch::Receiver<Option<EndReason>>) -> EndReason {
    match ends.wait_for(Option::is_some).await.map(|end| *end) {
        Ok(Some(reason)) => reason,
        // Nobody is left who could ask.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

fn end(calls: &mut Calls, reason: EndReason, detail: String) -> ShimCommand {
    let request = calls.open(Callee::Shim, "end", None);
    ShimCommand::End { request, reason, detail }
}

fn push(outgoing: &mut Vec<u8>, command: &ShimCommand) {
    outgoing.extend(serde_json::to_vec(command).unwrap_or_default());
    outgoing.push(b'\n');
}

/// Sends what the shim takes at once. Safe to cancel: then nothing was sent.
async fn send(commands: &mut OwnedWriteHalf, outgoing: &mut Vec<u8>) {
    match commands.write(outgoing).await {
        Ok(sent) => _ = outgoing.drain(..sent),
        // A shim that cannot be told is dead, which its reports say, or is killed at the deadline.
        Err(_) => outgoing.clear(),
    }
}

/// For a command that is not sent.
fn refuse(waiter: Option<Waiter>) {
    if let Some(waiter) = waiter {
        let why = "the session's shim takes no commands".to_owned();
        let _ = waiter.send(Err(CommandError::Refused(why)));
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
