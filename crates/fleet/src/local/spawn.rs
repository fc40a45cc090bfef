//! Starting a shim and following it until its session is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use browserd_api::browser::EndReason;
use browserd_protocol::lines::Lines;
use browserd_protocol::{GuestReport, SessionSpec, ShimReport, file, inside};
use browserd_sandbox::cgroup::{Controls, Hierarchies};
use browserd_sandbox::walls;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::instance::{LocalInstance, REPORT_LIMIT, Shim};
use super::ledger;
use super::reserve::Keeper;
use crate::{RuntimeEvent, StartError, Urgency};

/// How long a session may take to become ready; below the 60 s after which the official SDKs give
/// up on a request and send it again.
const READY_WITHIN: Duration = Duration::from_secs(50);
/// The same where no client waits, and everything else has the CPU first.
const AHEAD_WITHIN: Duration = Duration::from_secs(600);

/// Where the operator keeps the authorities to be trusted, if not where the host does: what gateways
/// believe of proxies follows it.
const TRUST: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Starts a session and answers once it is ready. On failure nothing of it is left.
pub(super) async fn start(
    program: &Path,
    spec: SessionSpec,
    hierarchies: &Hierarchies,
    urgency: Urgency,
    events: mpsc::Sender<RuntimeEvent>,
    keeper: Option<&Keeper>,
) -> Result<LocalInstance, StartError> {
    let awaited = matches!(urgency, Urgency::Now);
    let launched = launch(program, &spec, awaited).await;
    let (parent, name) = (&spec.cgroups.parent, spec.session_id.as_str());
    let controls = || Controls::of(hierarchies, parent, name);
    settle(launched, &spec.dir, controls, urgency, events, keeper).await
}

/// Waits until a session whose shim was launched is ready.
pub(super) async fn settle(
    launched: io::Result<Shim>,
    dir: &Path,
    controls: impl FnOnce() -> Controls,
    urgency: Urgency,
    events: mpsc::Sender<RuntimeEvent>,
    keeper: Option<&Keeper>,
) -> Result<LocalInstance, StartError> {
    let session = &*dir.file_name().unwrap_or_default().to_string_lossy();
    let (within, unless) = match urgency {
        Urgency::Now => (READY_WITHIN, CancellationToken::new()),
        Urgency::Ahead(unless) => (AHEAD_WITHIN, unless),
    };
    let outcome = match launched {
        Ok(mut shim) => {
            let ready = tokio::select! {
                ready = tokio::time::timeout(within, ready(&mut shim, session)) => {
                    ready.unwrap_or_else(|_| Err(failed("it was not ready in time")))
                }
                () = unless.cancelled() => Err(failed("nobody wants it any more")),
            };
            match ready {
                Ok(()) => {
                    let dir = dir.to_owned();
                    return Ok(LocalInstance::new(shim, dir, controls(), events, keeper));
                }
                Err(error) => {
                    let _ = shim.child.start_kill();
                    let _ = shim.child.wait().await;
                    error
                }
            }
        }
        Err(error) => failed(error),
    };
    ledger::tell_log(dir);
    if let Err(error) = ledger::clear_leftover(dir).await {
        tracing::error!(%error, dir = %dir.display(), "a session that did not start could not be cleared away; the next start of the server tries again");
    }
    Err(outcome)
}

fn failed(detail: impl ToString) -> StartError {
    StartError { reason: EndReason::FailedToStart, detail: detail.to_string() }
}

/// Starts the shim. Where a client waits, the session's folders are made meanwhile, which would take
/// the shim longer than all else; otherwise the shim makes them itself, at its lower priority.
async fn launch(program: &Path, spec: &SessionSpec, awaited: bool) -> io::Result<Shim> {
    std::fs::DirBuilder::new().mode(0o700).create(&spec.dir)?;
    let folders = awaited.then(|| {
        let dir = spec.dir.clone();
        let mut inside =
            [&inside::USER_FOLDERS[..], &[inside::STATE_DIR, inside::POLICIES]].concat();
        inside.extend(spec.programs.node_runners.is_some().then_some(inside::NODE_RUNNERS));
        tokio::task::spawn_blocking(move || walls::make_folders(&dir, &inside))
    });
    let shim = begin(program, spec).await;
    if let Some(folders) = folders {
        // In any case: who clears the folder away is to be alone with it. What fails here fails in
        // the shim as well, which says so.
        let _ = folders.await;
    }
    let mut shim = shim?;
    tell(&mut shim, b"\n").await?;
    Ok(shim)
}

/// Starts the shim and sends it the spec over its stdin, a socket.
async fn begin(program: &Path, spec: &SessionSpec) -> io::Result<Shim> {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(spec.dir.join(file::SHIM_LOG))?;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let child: Child = Command::new(program)
        .arg("shim")
        .env_clear()
        .envs(TRUST.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::from(log))
        .spawn()?;
    let socket = UnixStream::from_std(ours)?;
    let mut line = serde_json::to_vec(spec).map_err(io::Error::other)?;
    line.push(b'\n');
    let (read, write) = socket.into_split();
    let mut shim = Shim { child, reports: Lines::new(read, REPORT_LIMIT), commands: write };
    tell(&mut shim, &line).await?;
    Ok(shim)
}

/// Tells a shim something at its start. One that does not listen is ended: it would be waited for without
/// end, because a spec may be larger than what the socket takes.
async fn tell(shim: &mut Shim, what: &[u8]) -> io::Result<()> {
    let told = tokio::time::timeout(READY_WITHIN, shim.commands.write_all(what)).await;
    let told = told.unwrap_or_else(|_| {
        Err(io::Error::new(io::ErrorKind::TimedOut, "its shim does not listen"))
    });
    if told.is_err() {
        let _ = shim.child.start_kill();
        let _ = shim.child.wait().await;
    }
    told
}

/// Follows reports until the guest is ready.
async fn ready(shim: &mut Shim, session: &str) -> Result<(), StartError> {
    loop {
        match shim.reports.next().await {
            Ok(Some(ShimReport::Guest { said: GuestReport::Ready { after_ms } })) => {
                tracing::debug!(session, after_ms, "guest ready");
                return Ok(());
            }
            Ok(Some(ShimReport::Ended { reason, detail })) => {
                return Err(StartError { reason, detail });
            }
            Ok(Some(ShimReport::Hello { walls, pid, .. })) => {
                tracing::debug!(session, pid, ?walls, "walls are up");
            }
            Ok(Some(ShimReport::GuestError { line })) => {
                tracing::error!(session, "the guest logged an error: {line}");
            }
            Ok(Some(
                ShimReport::Guest { .. }
                | ShimReport::Answered { .. }
                | ShimReport::DiskOver { .. }
                | ShimReport::Disk { .. },
            )) => {}
            Ok(None) => {
                return Err(failed("its shim went away; the server's log has its last words"));
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shim_that_does_not_listen_is_ended() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let child = Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
        let (read, commands) = ours.into_split();
        let mut shim = Shim { child, reports: Lines::new(read, REPORT_LIMIT), commands };
        // Much more than a socket takes.
        let told = tell(&mut shim, &vec![b'x'; 16 << 20]).await;
        assert_eq!(told.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(shim.child.try_wait().unwrap().is_some(), "it is gone");
    }
}
