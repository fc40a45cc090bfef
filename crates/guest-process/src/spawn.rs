//! `POST /process/spawn`.

use std::io;
use std::sync::Arc;

use axum::extract::State;
use browserd_api::process::{ExecRequest, SpawnRequest, SpawnResponse};
use browserd_api::{ErrorDetail, ProcessId, Timestamp};
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_guest_session::Child;
use browserd_guest_session::wake_lock::WakeLock;
use browserd_rest::{Error, Json, Result};
use browserd_sandbox::child;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::Instant;

use super::group::Groups;
use super::input::{Input, Target};
use super::pump::{Streams, output_pipe};
use super::registry::Place;
use super::{End, Ending, Process, Processes, cpu, request, terminal};

/// What a timed-out process exits with, as `timeout(1)` has it.
pub(super) const TIMED_OUT: i32 = 124;

const DEFAULT_ROWS: u16 = 24;
const DEFAULT_COLS: u16 = 80;
/// How much of command and arguments a listing shows, bytes.
const SHOWN: usize = 4096;

/// [`SpawnRequest`] without its nesting, so that refusals name the very field.
#[derive(Debug, Deserialize)]
pub(super) struct Flat {
    command: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    cwd: Option<String>,
    #[serde(default)]
    env: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    as_user: Option<String>,
    #[serde(default)]
    as_root: bool,
    #[serde(default)]
    timeout_sec: Option<u64>,
    #[serde(default)]
    allocate_tty: bool,
    #[serde(default)]
    rows: Option<u16>,
    #[serde(default)]
    cols: Option<u16>,
    #[serde(default = "browserd_api::process::keep_awake")]
    keep_awake: bool,
}

impl From<Flat> for SpawnRequest {
    fn from(flat: Flat) -> Self {
        let Flat { command, args, cwd, env, as_user, as_root, timeout_sec, .. } = flat;
        let exec = ExecRequest { command, args, cwd, env, as_user, as_root, timeout_sec };
        let Flat { allocate_tty, rows, cols, keep_awake, .. } = flat;
        Self { exec, allocate_tty, rows, cols, keep_awake }
    }
}

/// Start a process in the session.
///
/// Answers once the program runs. The command rules are those of `exec`. With `allocate_tty` the
/// process gets a pseudo-terminal of the given size (default 24 rows, 80 columns) and
/// `TERM=xterm-256color`. `timeout_sec` kills the process and everything it started; its
/// `exit_code` is then 124. The session does not go into standby while it runs, unless
/// `keep_awake` (an extension) is false. The process runs until it exits, is killed, or the session ends.
/// What it wrote can be read from `stdout/stream` at any time, up to 512 MiB a process and 2 GiB a
/// session; the oldest output is dropped first, that of exited processes before that of running
/// ones. 4096 processes may run at one time (429), the status of the last 2000 exited ones is kept.
#[utoipa::path(
    post,
    path = "/process/spawn",
    operation_id = "browsers_process_spawn",
    tag = "browsers/process",
    request_body = SpawnRequest,
    responses(
        (status = 200, description = "The process runs.", body = SpawnResponse),
        Refusals, BodyRefusals,
    ),
)]
pub(super) async fn spawn(
    State(processes): State<Processes>,
    Json(flat): Json<Flat>,
) -> Result<axum::Json<SpawnResponse>> {
    let request = SpawnRequest::from(flat);
    let place = processes.place()?;
    let process = start(&processes, request, place)?;
    Ok(axum::Json(SpawnResponse {
        process_id: process.id,
        pid: process.pid,
        started_at: process.started_at,
    }))
}

/// Standard streams of a process about to start: the guest's ends.
struct Ends {
    streams: Streams,
    input: Target,
    terminal: Option<std::os::fd::OwnedFd>,
}

fn start(processes: &Processes, request: SpawnRequest, place: Place) -> Result<Arc<Process>> {
    let inner = &processes.inner;
    let size = terminal_size(&request)?;
    let mut plan = request::plan(&inner.session, &request.exec, size.is_some())?;
    let wake_lock = request.keep_awake.then(|| inner.session.wake_locks.acquire());
    let ends = match size {
        Some((rows, cols)) => with_terminal(&mut plan, rows, cols),
        None => with_pipes(&mut plan),
    }
    .map_err(Error::internal)?;
    let begun = Instant::now();
    let started_at = Timestamp::now();
    let (child, group) = inner
        .groups
        .start(&mut plan.launch)
        .map_err(|error| request::refusal(error, &request.exec))?;
    // The process's ends close here; the guest must not keep them.
    drop(plan.launch);
    let (ended, ending) = watch::channel(None);
    let (command, args) = shown(request.exec);
    let process = Arc::new(Process {
        id: ProcessId::generate(),
        pid: child.pid,
        command,
        args,
        started_at,
        exit: child.exit.clone(),
        ending: Ending(ending),
        group: Mutex::new(Some(group)),
        window: Mutex::new(cpu::Window::new(begun)),
        input: Input::new(ends.input),
        tty: ends.terminal.is_some(),
        terminal: Mutex::new(ends.terminal),
        output: inner.spool.create(),
    });
    processes.insert(Arc::clone(&process));
    let run = Run {
        processes: processes.clone(),
        process: Arc::clone(&process),
        child,
        streams: ends.streams,
        timeout: plan.timeout,
        ended,
        _wake_lock: wake_lock,
        _place: place,
    };
    tokio::spawn(run.follow());
    Ok(process)
}

fn terminal_size(request: &SpawnRequest) -> Result<Option<(u16, u16)>> {
    let given = [("rows", request.rows), ("cols", request.cols)];
    let mut details = Vec::new();
    for (field, value) in given {
        let message = match value {
            Some(_) if !request.allocate_tty => "needs allocate_tty",
            Some(0) => "must be from 1 to 65535",
            _ => continue,
        };
        details.push(ErrorDetail { code: field.into(), message: message.into() });
    }
    if !details.is_empty() {
        return Err(browserd_api::ApiError::fields(details).into());
    }
    let size = (request.rows.unwrap_or(DEFAULT_ROWS), request.cols.unwrap_or(DEFAULT_COLS));
    Ok(request.allocate_tty.then_some(size))
}

fn with_terminal(plan: &mut request::Plan, rows: u16, cols: u16) -> io::Result<Ends> {
    let terminal = terminal::open(rows, cols, plan.owner)?;
    plan.launch.tty = Some(terminal.theirs);
    let input = pipe::Sender::from_owned_fd_unchecked(terminal.ours.try_clone()?)?;
    Ok(Ends {
        streams: Streams::terminal(terminal.ours.try_clone()?)?,
        input: Target { pipe: input, tty: true },
        terminal: Some(terminal.ours),
    })
}

fn with_pipes(plan: &mut request::Plan) -> io::Result<Ends> {
    let (stdout, stdout_theirs) = output_pipe()?;
    let (stderr, stderr_theirs) = output_pipe()?;
    let (stdin_theirs, stdin) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    plan.launch.stdin = child::Input::Fd(stdin_theirs);
    plan.launch.stdout = child::Input::Fd(stdout_theirs);
    plan.launch.stderr = child::Input::Fd(stderr_theirs);
    Ok(Ends {
        streams: Streams::pipes(stdout, stderr),
        input: Target { pipe: pipe::Sender::from_owned_fd(stdin)?, tty: false },
        terminal: None,
    })
}

/// Command and arguments for listings, cut so that records stay small.
fn shown(request: ExecRequest) -> (String, Vec<String>) {
    let mut room = SHOWN;
    let mut cut = |mut text: String| {
        if text.len() > room {
            text.truncate(text.floor_char_boundary(room));
            text.push('…');
        }
        room = room.saturating_sub(text.len().max(1));
        text.shrink_to_fit();
        (room > 0, text)
    };
    let (mut fits, command) = cut(request.command);
    let mut args = Vec::new();
    for arg in request.args {
        if !fits {
            break;
        }
        let (more, arg) = cut(arg);
        args.push(arg);
        fits = more;
    }
    (command, args)
}

/// The life of one process, from start to exit.
struct Run {
    processes: Processes,
    process: Arc<Process>,
    child: Child,
    streams: Streams,
    timeout: Option<std::time::Duration>,
    ended: watch::Sender<Option<End>>,
    _wake_lock: Option<WakeLock>,
    _place: Place,
}

impl Run {
    async fn follow(mut self) {
        let inner = Arc::clone(&self.processes.inner);
        let process = Arc::clone(&self.process);
        let output = &process.output;
        let mut timed_out = false;
        let status = {
            let sink = |stream, bytes: &[u8]| output.append(stream, bytes);
            let run = inner.pumps.run(&mut self.streams, &mut self.child, sink);
            tokio::pin!(run);
            match self.timeout {
                None => run.await,
                Some(timeout) => tokio::select! {
                    status = &mut run => status,
                    () = tokio::time::sleep(timeout) => {
                        timed_out = true;
                        if let Some(group) = &*process.group.lock() {
                            Groups::kill(group, process.pid);
                        }
                        run.await
                    }
                },
            }
        };
        let exit_code = if timed_out { TIMED_OUT } else { status.code };
        let group = process.group.lock().take();
        if let Some(group) = group {
            inner.groups.discard(group);
        }
        process.terminal.lock().take();
        output.finish(exit_code);
        self.ended.send_replace(Some(End { exit_code, at: Timestamp::now() }));
        self.processes.note_exit(process.id);
        inner.pumps.discard(self.streams);
        process.input.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_show_a_bounded_part() {
        let request = ExecRequest {
            command: "é".repeat(SHOWN),
            args: vec!["x".repeat(SHOWN); 9],
            ..ExecRequest::default()
        };
        let (command, args) = shown(request);
        assert!(command.len() <= SHOWN + 3 && command.ends_with('…'));
        assert!(args.is_empty());
        let request = ExecRequest {
            command: "ls".into(),
            args: vec![String::new(); 3 * SHOWN],
            ..ExecRequest::default()
        };
        assert!(shown(request).1.len() <= SHOWN);
    }
}
