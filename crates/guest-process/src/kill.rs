//! `POST /process/{process_id}/kill`.

use axum::extract::State;
use browserd_api::ErrorCode;
use browserd_api::process::{KillRequest, OkResponse, Signal};
use browserd_guest_http::refusals::{BodyRefusals, Refusals, StateRefusals};
use browserd_rest::{Error, Optional, Result};
use rustix::process::Pid;
use serde::Deserialize;

use super::group::Groups;
use super::path::Id;
use super::{Process, Processes};

/// [`KillRequest`] with any text as signal, so that the refusal names the field.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Flat {
    #[serde(default)]
    signal: serde_json::Value,
}

impl Flat {
    fn signal(&self) -> Result<Signal> {
        match &self.signal {
            serde_json::Value::Null => Ok(Signal::default()),
            given => Signal::deserialize(given).map_err(|_| {
                Error::field("signal", format!("{given} is not TERM, KILL, INT or HUP"))
            }),
        }
    }
}

/// Send a signal to a process.
///
/// TERM (the default), INT and HUP go to the process group of the process; KILL ends everything it
/// started, also what left the group. Answers when the signal is sent; `wait` answers at the exit. A
/// process that has exited is 409 `process_exited`, and what it left running is not signalled.
#[utoipa::path(
    post,
    path = "/process/{process_id}/kill",
    operation_id = "browsers_process_kill",
    tag = "browsers/process",
    params(("process_id" = Uuid, Path, description = "Handle of the process.")),
    request_body = KillRequest,
    responses(
        (status = 200, description = "The signal was sent.", body = OkResponse),
        Refusals, BodyRefusals, StateRefusals,
    ),
)]
pub(super) async fn kill(
    State(processes): State<Processes>,
    Id(id): Id,
    Optional(request): Optional<Flat>,
) -> Result<axum::Json<OkResponse>> {
    let process = processes.find(id)?;
    let signal = request.signal()?;
    let group = process.group.lock();
    // Not reaped yet, so the pid is still its own.
    let group = group.as_ref().filter(|_| process.exit.borrow().is_none()).ok_or_else(exited)?;
    let signal = match signal {
        Signal::Kill => {
            Groups::kill(group, process.pid);
            return Ok(axum::Json(OkResponse { ok: true }));
        }
        Signal::Term => rustix::process::Signal::TERM,
        Signal::Int => rustix::process::Signal::INT,
        Signal::Hup => rustix::process::Signal::HUP,
    };
    send(&process, signal)?;
    Ok(axum::Json(OkResponse { ok: true }))
}

fn send(process: &Process, signal: rustix::process::Signal) -> Result<()> {
    let pid = Pid::from_raw(process.pid).ok_or_else(exited)?;
    match rustix::process::kill_process_group(pid, signal) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::SRCH) => Err(exited()),
        Err(error) => Err(Error::internal(error)),
    }
}

fn exited() -> Error {
    Error::new(ErrorCode::ProcessExited, "the process has exited; its status has the exit code")
}
