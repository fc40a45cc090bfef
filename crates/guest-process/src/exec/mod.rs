//! `POST /process/exec`.

mod answer;
mod collected;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use browserd_api::process::{ExecRequest, ExecResponse};
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Error, Json, Result};
use browserd_sandbox::child;
use tokio::time::Instant;

use self::answer::{Answer, answer};
use self::collected::Collected;
use super::group::{Group, Groups};
use super::pump::{Streams, output_pipe};
use super::registry::Inner;
use super::spawn::TIMED_OUT;
use super::spool::Stream;
use super::{Processes, request};

/// Most bytes held for all `exec` calls together, running or being answered.
pub(super) const OUTPUT_LIMIT: usize = 64 << 20;

/// Run a command in the session and wait for it.
///
/// `args` are passed as they are; no shell sees them. A `command` without `args` that contains
/// whitespace or one of ``' " \ ` $ | & ; < > ( ) { } [ ] * ? ! # ~ = %`` runs through
/// `/bin/sh -c`, unless it is the absolute path of an existing file. Any other command is looked up
/// in the `PATH` the process will have. Standard input is empty.
///
/// `exit_code` is the exit status, or 128+n when signal n ended the process. When `timeout_sec`
/// passes, the command and everything it started are killed and the answer is still 200, with
/// `exit_code` 124, `timed_out` true and what was written until then (an error status would make
/// clients run the command again). What the command leaves running in the background neither delays
/// the answer nor is ended; what it writes later is thrown away. A client that goes away ends the
/// command.
///
/// At most 8 MiB of each stream are returned (64 MiB for all calls at one time, until their clients
/// have read the answers); what is beyond is counted in `stdout_truncated_bytes` and
/// `stderr_truncated_bytes` (extensions).
#[utoipa::path(
    post,
    path = "/process/exec",
    operation_id = "browsers_process_exec",
    tag = "browsers/process",
    request_body = ExecRequest,
    responses(
        (status = 200, description = "The command has ended, or its time was up.", body = ExecResponse),
        Refusals, BodyRefusals,
    ),
)]
pub(super) async fn exec(
    State(processes): State<Processes>,
    Json(request): Json<ExecRequest>,
) -> Result<Response> {
    let inner = &processes.inner;
    let _place = processes.place()?;
    let mut plan = request::plan(&inner.session, &request, false)?;
    let (stdout, stdout_theirs) = output_pipe().map_err(Error::internal)?;
    let (stderr, stderr_theirs) = output_pipe().map_err(Error::internal)?;
    plan.launch.stdout = child::Input::Fd(stdout_theirs);
    plan.launch.stderr = child::Input::Fd(stderr_theirs);
    let mut streams = Streams::pipes(stdout, stderr);
    let begun = Instant::now();
    let (mut child, group) =
        inner.groups.start(&mut plan.launch).map_err(|error| request::refusal(error, &request))?;
    // The process's ends close here; the guest must not keep them. And a command may run for long
    // that took megabytes to say.
    drop((plan.launch, request));
    // From here on a client that goes away, and so drops this future, ends the command.
    let mut running =
        Running { inner: Arc::clone(inner), pid: child.pid, group: Some(group), ended: false };
    let mut out = Collected::new(&inner.exec_output);
    let mut err = Collected::new(&inner.exec_output);
    let mut timed_out = false;
    let status = {
        let sink = |stream, bytes: &[u8]| match stream {
            Stream::Stderr => err.push(bytes),
            _ => out.push(bytes),
        };
        let run = inner.pumps.run(&mut streams, &mut child, sink);
        tokio::pin!(run);
        match plan.timeout {
            None => run.await,
            Some(timeout) => tokio::select! {
                status = &mut run => status,
                () = tokio::time::sleep(timeout) => {
                    timed_out = true;
                    running.kill();
                    run.await
                }
            },
        }
    };
    running.ended = true;
    inner.pumps.discard(streams);
    let exit_code = if timed_out { TIMED_OUT } else { status.code };
    let duration_ms = begun.elapsed().as_millis();
    Ok(answer(Answer { exit_code, duration_ms, timed_out, out, err }))
}

/// A command under way; dropped before its end, it kills the command.
struct Running {
    inner: Arc<Inner>,
    pid: i32,
    group: Option<Group>,
    ended: bool,
}

impl Running {
    fn kill(&self) {
        if let Some(group) = &self.group {
            Groups::kill(group, self.pid);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
        }
        if let Some(group) = self.group.take() {
            self.inner.groups.discard(group);
        }
    }
}
