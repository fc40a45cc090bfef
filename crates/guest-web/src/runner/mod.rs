//! Node workers: processes of the browser user that run clients' code and speak with the guest in
//! lines of JSON over two inherited pipes.
//!
//! Owns their start, their streams and their end. Does not know what they run.
//!
//! ```text
//!            fd 3 ◀── requests                   every line has a limit; what does
//!   worker   fd 4 ──▶ answers     ─▶ Worker::next   not keep to it ends the worker
//!            fd 1, 2 ──▶ output of the code
//! ```

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod lines;
mod run;
mod text;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use browserd_api::ErrorCode;
use browserd_guest_process::Groups;
use browserd_guest_session::Session;
use browserd_rest::Error;

pub(crate) use run::{Names, Output, Run, fresh_id};
pub(crate) use text::Text;
pub(crate) use worker::{Event, Worker};

/// Memory JavaScript may use in one worker, MiB.
pub(crate) const HEAP_MIB: u32 = 512;
/// Most seconds code may run.
const LONGEST: u64 = 300;
/// Seconds it may run unless asked otherwise.
const USUAL: u64 = 60;

/// What it takes to start workers.
#[derive(Clone)]
pub struct Kit {
    /// The session whose workers they are.
    pub session: Arc<Session>,
    /// What each worker is started in.
    pub groups: Arc<Groups>,
}

impl Kit {
    /// Refuses where this host has no Node or no runners.
    ///
    /// # Errors
    ///
    /// 501, which sending the request again does not change.
    pub(crate) fn require(&self) -> Result<(), Error> {
        let programs = &self.session.spec.programs;
        let what = match (&programs.node, &programs.node_runners) {
            (Some(_), Some(_)) => return Ok(()),
            (None, _) => "Node, which runs such code, is not installed on this host",
            (_, None) => "the runners for Node are not prepared on this host",
        };
        let message = format!("{what}; its operator finds the command with `browserd doctor`");
        Err(Error::new(ErrorCode::NotImplemented, message))
    }
}

/// 502 for a worker that could not be started; the next attempt may find more memory or pids.
pub(crate) fn not_started(error: std::io::Error) -> Error {
    tracing::error!(%error, "Node could not be started in the session; the client is told to try again");
    let message = format!("Node could not be started in the session: {error}; try again");
    Error::new(ErrorCode::UpstreamUnavailable, message)
}

/// `timeout_sec` of a request.
///
/// # Errors
///
/// 400 naming it.
pub(crate) fn timeout(seconds: Option<u64>) -> Result<Duration, Error> {
    let seconds = seconds.unwrap_or(USUAL);
    if (1..=LONGEST).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(Error::field("timeout_sec", format!("must be from 1 to {LONGEST}")))
}
