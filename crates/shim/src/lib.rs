//! The shim: one a session, outside its walls. It raises them, runs the egress gateway, and is
//! there when the session ends, whatever becomes of `serve`.
//!
//! Owns one session's life at the level of processes; decides nothing a client asked for.
//!
//! ```text
//!  start ─▶ spec read ─▶ ledger written ─▶ cgroup ─▶ walls raised ─▶ running ─▶ ended ─▶ exit
//!              │             │               │            │             │
//!              └─────────────┴───── failed_to_start ──────┘             ├ command End{reason}
//!                                                                       ├ guest: Fatal{reason}
//!                                                                       ├ guest gone: crashed, out_of_memory
//!                                                                       ├ disk: writes past its limit
//!                                                                       └ no serve for orphan_seconds
//! ```
//!
//! Before the walls stand there is one thread and no runtime, so that forking is sound.

mod control;
mod disk;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod guest_log;
mod host_memory;
mod life;
mod raise;
mod to_guest;

pub use raise::NETWORK;

use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use browserd_api::browser::EndReason;
use browserd_protocol::{GENERATION, SPEC_LIMIT, SessionSpec, ShimReport};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Runs a shim whose stdin is the socket to `serve`. `prepare` is called with the log filter of the
/// spec before anything is logged.
pub fn run(prepare: impl FnOnce(&str)) -> ExitCode {
    let stdin = std::io::stdin();
    let Ok(socket) = stdin.as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    let socket = UnixStream::from(socket);
    let mut said = BufReader::new((&socket).take(SPEC_LIMIT as u64));
    let spec = match read_spec(&mut said) {
        Ok(spec) => spec,
        Err(error) => return fail(&socket, &format!("unreadable session spec: {error}")),
    };
    prepare(&spec.log);
    // A session of its own: a Ctrl-C for `serve` is not for the shim.
    let _ = rustix::process::setsid();
    let raised = match raise::raise(&spec, || folders_made(&mut said)) {
        Ok(raised) => raised,
        Err(error) => return fail(&socket, &error.to_string()),
    };
    raise_descriptor_limit();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&socket, &format!("start the runtime: {error}")),
    };
    match runtime.block_on(life::live(&spec, raised, &socket)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&socket, &error.to_string()),
    }
}

/// The gateway may have hundreds of connections and each several attempts. Not before the walls
/// stand: what runs inside is not to inherit it.
fn raise_descriptor_limit() {
    let hard = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }) {
        tracing::warn!(%error, "the limit of open files could not be raised; the session may make fewer connections");
    }
}

/// `serve` sends nothing but this and the line of [`folders_made`] before the first report, so a buffer
/// that reads ahead swallows no command.
fn read_spec(said: &mut impl BufRead) -> io::Result<SessionSpec> {
    let mut line = Vec::new();
    said.read_until(b'\n', &mut line)?;
    let spec: SessionSpec = serde_json::from_slice(&line)?;
    if spec.generation != GENERATION {
        let message = format!(
            "the server speaks generation {} of the protocol and this program {GENERATION}: the program \
             was replaced while the server runs; restart the server",
            spec.generation
        );
        return Err(io::Error::other(message));
    }
    Ok(spec)
}

/// Waits until `serve` leaves the session's folder to us.
fn folders_made(said: &mut impl BufRead) -> io::Result<()> {
    match said.read_until(b'\n', &mut Vec::new())? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn fail(socket: &UnixStream, detail: &str) -> ExitCode {
    tracing::error!(detail, "the session did not start");
    let report = ShimReport::Ended { reason: EndReason::FailedToStart, detail: detail.to_owned() };
    let _ = control::write_now(socket, &report);
    ExitCode::FAILURE
}
