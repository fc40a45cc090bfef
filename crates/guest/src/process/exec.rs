//! `POST /process/exec`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::response::Response;
use browserd_api::process::{ExecRequest, ExecResponse};
use browserd_rest::{Error, Json, Result};
use browserd_sandbox::child;
use http::header::CONTENT_TYPE;
use tokio::time::Instant;

use super::group::{Group, Groups};
use super::pump::{Streams, output_pipe};
use super::registry::Inner;
use super::spawn::TIMED_OUT;
use super::spool::Stream;
use super::{Processes, request};
use crate::refusals::{BodyRefusals, Refusals};

/// Most bytes of one stream in an answer.
const STREAM_LIMIT: usize = 8 << 20;
/// Most bytes held for all running `exec` calls together.
const TOTAL_LIMIT: usize = 64 << 20;
/// What a call takes from the total at once.
const STEP: usize = 64 * 1024;

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
/// At most 8 MiB of each stream are returned (64 MiB for all calls running at one time); what is
/// beyond is counted in `stdout_truncated_bytes` and `stderr_truncated_bytes` (extensions).
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
    // The process's ends close here; the guest must not keep them.
    drop(plan.launch);
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
    let duration = begun.elapsed().as_millis();
    Ok(answer(exit_code, duration, timed_out, out, err))
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

/// What all running `exec` calls hold together.
#[derive(Debug, Clone, Default)]
pub(super) struct OutputBudget(Arc<AtomicUsize>);

/// One stream, up to the limits.
struct Collected {
    bytes: Vec<u8>,
    left_out: u64,
    taken: usize,
    budget: OutputBudget,
}

impl Collected {
    fn new(budget: &OutputBudget) -> Self {
        Self { bytes: Vec::new(), left_out: 0, taken: 0, budget: budget.clone() }
    }

    fn push(&mut self, bytes: &[u8]) {
        let room = STREAM_LIMIT.saturating_sub(self.bytes.len()).min(bytes.len());
        while self.taken < self.bytes.len() + room && self.take() {}
        let room = room.min(self.taken - self.bytes.len());
        // Once something is left out the rest is too: what is returned is one piece.
        let kept = if self.left_out > 0 { 0 } else { room };
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.left_out += (bytes.len() - kept) as u64;
    }

    fn take(&mut self) -> bool {
        let before = self.budget.0.fetch_add(STEP, Ordering::Relaxed);
        if before + STEP > TOTAL_LIMIT {
            self.budget.0.fetch_sub(STEP, Ordering::Relaxed);
            return false;
        }
        self.taken += STEP;
        true
    }
}

impl Drop for Collected {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

/// An [`ExecResponse`], written straight from the collected bytes: megabytes of base64 are not
/// copied twice.
fn answer(
    exit_code: i32,
    duration_ms: u128,
    timed_out: bool,
    out: Collected,
    err: Collected,
) -> Response {
    let base64 = base64_simd::STANDARD;
    let room = base64.encoded_length(out.bytes.len()) + base64.encoded_length(err.bytes.len());
    let mut body = Vec::with_capacity(room + 256);
    let text = |body: &mut Vec<u8>, text: &str| body.extend_from_slice(text.as_bytes());
    text(&mut body, &format!("{{\"exit_code\":{exit_code},\"stdout_b64\":\""));
    super::output_body::append_base64(&mut body, &out.bytes);
    text(&mut body, "\",\"stderr_b64\":\"");
    super::output_body::append_base64(&mut body, &err.bytes);
    text(&mut body, &format!("\",\"duration_ms\":{duration_ms}"));
    if timed_out {
        text(&mut body, ",\"timed_out\":true");
    }
    for (name, left_out) in [("stdout", out.left_out), ("stderr", err.left_out)] {
        if left_out > 0 {
            text(&mut body, &format!(",\"{name}_truncated_bytes\":{left_out}"));
        }
    }
    body.push(b'}');
    let mut response = Response::new(axum::body::Body::from(body));
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(budget: &OutputBudget, pieces: &[usize]) -> Collected {
        let mut collected = Collected::new(budget);
        for piece in pieces {
            collected.push(&vec![b'x'; *piece]);
        }
        collected
    }

    #[test]
    fn a_stream_is_cut_at_its_limit_and_the_rest_counted() {
        let budget = OutputBudget::default();
        let whole = collected(&budget, &[STREAM_LIMIT - 1, 1]);
        assert_eq!((whole.bytes.len(), whole.left_out), (STREAM_LIMIT, 0));
        let cut = collected(&budget, &[STREAM_LIMIT - 1, 3, 5]);
        assert_eq!((cut.bytes.len(), cut.left_out), (STREAM_LIMIT, 7));
    }

    #[test]
    fn all_calls_together_have_a_limit_that_comes_back() {
        let budget = OutputBudget::default();
        let calls: Vec<_> = (0..9).map(|_| collected(&budget, &[STREAM_LIMIT])).collect();
        let held: usize = calls.iter().map(|call| call.bytes.len()).sum();
        assert_eq!(held, TOTAL_LIMIT);
        assert_eq!(calls[8].left_out, STREAM_LIMIT as u64);
        drop(calls);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
        // What was once left out is not followed by later bytes.
        let mut gap = collected(&budget, &[STREAM_LIMIT + 1]);
        gap.bytes.truncate(10);
        gap.push(b"later");
        assert_eq!((gap.bytes.len(), gap.left_out), (10, 6));
    }

    #[tokio::test]
    async fn the_hand_written_answer_is_the_documented_type() {
        let budget = OutputBudget::default();
        let mut out = collected(&budget, &[]);
        out.push(b"a\0\xff");
        let mut err = collected(&budget, &[3]);
        err.left_out = 9;
        let response = answer(124, 17, true, out, err);
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let parsed: ExecResponse = serde_json::from_slice(&body).unwrap();
        assert_eq!((parsed.exit_code, parsed.duration_ms, parsed.timed_out), (124, 17, true));
        assert_eq!((parsed.stdout_b64.as_str(), parsed.stderr_b64.as_str()), ("YQD/", "eHh4"));
        assert_eq!((parsed.stdout_truncated_bytes, parsed.stderr_truncated_bytes), (0, 9));
        assert_eq!(
            serde_json::to_value(&parsed).unwrap(),
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()
        );
    }
}
