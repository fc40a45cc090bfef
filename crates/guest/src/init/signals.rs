//! The guest's own signals and limits.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Resolves when the guest is asked to end (SIGTERM or SIGINT).
///
/// # Errors
///
/// When the signals cannot be watched.
pub fn termination() -> io::Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

/// Raises this process's own limit of open descriptors to the hard limit, and answers with what
/// programs are to get: the soft limit as it was.
#[must_use]
pub fn raise_descriptor_limit() -> browserd_sandbox::child::Limit {
    let before = getrlimit(Resource::Nofile);
    let _ =
        setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum });
    let hard = before.maximum.unwrap_or(u64::MAX);
    browserd_sandbox::child::Limit {
        resource: NOFILE,
        soft: before.current.unwrap_or(hard).min(hard),
        hard,
    }
}

/// `RLIMIT_NOFILE` on every architecture this runs on.
const NOFILE: u32 = 7;
