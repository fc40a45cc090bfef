//! A session's life once its walls stand: until someone ends it, it ends itself, or it dies.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;

use browserd_api::browser::EndReason;
use browserd_egress::Gateway;
use browserd_protocol::lines::Lines;
use browserd_protocol::{
    GENERATION, GuestCommand, GuestReport, LINE_LIMIT, SessionSpec, ShimCommand, ShimReport,
};
use browserd_sandbox::cgroup;
use browserd_sandbox::network::{Listeners, Redirected};
use rustix::process::{WaitId, WaitIdOptions, WaitIdStatus, waitid};
use tokio::net::{TcpListener, UdpSocket, UnixListener, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::disk::{self, Asked, Disk};
use crate::raise::Session;
use crate::to_guest::ToGuest;
use crate::{control, guest_log, host_memory};

/// How long a guest that has hung up may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(2);
/// How long the control socket is left alone when accepting fails, as without descriptors it does
/// at once each time.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Why and with what words a session ends.
struct End {
    reason: EndReason,
    detail: String,
}

/// Has the gateway take what comes out of the session's network.
fn serve_network(
    gateway: &Gateway,
    listeners: Listeners,
    tasks: &mut JoinSet<()>,
) -> io::Result<()> {
    listeners.proxy.set_nonblocking(true)?;
    let proxy = TcpListener::from_std(listeners.proxy)?;
    let way_out = gateway.clone();
    tasks.spawn(async move { way_out.serve(proxy).await });
    let Redirected { connections, names } = match listeners.redirected {
        Ok(redirected) => redirected,
        Err(why) => {
            tracing::warn!(
                %why,
                "programs in this session that do not use the proxy have no network; \
                 browserd doctor tells what the kernel lacks"
            );
            return Ok(());
        }
    };
    connections.set_nonblocking(true)?;
    names.set_nonblocking(true)?;
    let (connections, names) = (TcpListener::from_std(connections)?, UdpSocket::from_std(names)?);
    let way_out = gateway.clone();
    tasks.spawn(async move { way_out.serve_redirected(connections).await });
    let way_out = gateway.clone();
    tasks.spawn(async move { way_out.answer_names(names).await });
    Ok(())
}

/// Runs the session to its end; nothing of it is left inside afterwards.
pub(crate) async fn live(
    spec: &SessionSpec,
    session: Session,
    serve: &StdStream,
) -> io::Result<()> {
    let Session { raised, cgroup, walls, guest, guest_log, control: listener, _identity } = session;
    let gateway = Gateway::new(&spec.egress).map_err(io::Error::other)?;
    gateway.set_route(&spec.route).map_err(io::Error::other)?;
    let mut others = JoinSet::new();
    serve_network(&gateway, raised.listeners, &mut others)?;
    guest.set_nonblocking(true)?;
    let guest = UnixStream::from_std(guest)?;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    let serve = serve.try_clone()?;
    serve.set_nonblocking(true)?;
    let serve = UnixStream::from_std(serve)?;

    let (reports, _) = broadcast::channel(64);
    let (commands, mut asked) = mpsc::channel(8);
    let peers = watch::Sender::new(0);
    let hello = |ready| ShimReport::Hello {
        generation: GENERATION,
        session_id: spec.session_id.clone(),
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        ready,
        walls: walls.clone(),
    };
    let mut talks = JoinSet::new();
    let talk = |socket, ready| {
        control::talk(socket, hello(ready), reports.subscribe(), commands.clone(), peers.clone())
    };
    talks.spawn(talk(serve, false));
    others.spawn(guest_log::relay(guest_log, reports.clone()));

    let (guest, to_guest) = guest.into_split();
    let (to_guest, writing) = ToGuest::new(to_guest);
    others.spawn(writing);
    let mut lines = Lines::new(guest, LINE_LIMIT);
    // Listening starts before the first look, so that no exit falls in between.
    let exit = exited(&raised.pidfd, signal(SignalKind::child())?);
    tokio::pin!(exit);
    let orphaned = orphaned(peers.subscribe(), Duration::from_secs(spec.orphan_seconds));
    tokio::pin!(orphaned);
    let (measure, questions) = watch::channel(Asked::default());
    let disk = Disk::new(spec, raised.overlay, raised.pid);
    let disk = disk::watch(disk, questions, to_guest.clone(), reports.clone());
    tokio::pin!(disk);
    let mut ready = false;
    let mut accept_from = Instant::now();
    let host_kills = host_memory::kills();
    let end = loop {
        tokio::select! {
            accepted = accept(&listener, accept_from) => match accepted {
                Ok(socket) => _ = talks.spawn(talk(socket, ready)),
                Err(error) => {
                    tracing::warn!(%error, "the shim cannot accept a connection of the server and tries again");
                    accept_from = Instant::now() + ACCEPT_AGAIN;
                }
            },
            Some(_) = talks.join_next() => {}
            Some(command) = asked.recv() => match command {
                ShimCommand::End { request, reason, detail } => {
                    let _ = reports.send(ShimReport::Answered { request, failure: None });
                    break End { reason, detail };
                }
                ShimCommand::MeasureDisk { request } => {
                    measure.send_modify(|asked| asked.serve += 1);
                    let _ = reports.send(ShimReport::Answered { request, failure: None });
                }
                ShimCommand::EndProcesses { request, why } => {
                    tracing::warn!(why, "what clients started in the session is killed");
                    if !to_guest.tell(GuestCommand::EndProcesses { why }) {
                        break unread();
                    }
                    let _ = reports.send(ShimReport::Answered { request, failure: None });
                }
                ShimCommand::Route { request, route } => {
                    let failure = gateway.set_route(&route).err().map(|error| error.to_string());
                    let _ = reports.send(ShimReport::Answered { request, failure });
                }
                ShimCommand::Guest { told } => {
                    // What others freed since the last count would hide what its client's processes
                    // write from now on.
                    if matches!(told, GuestCommand::Assign { .. }) {
                        measure.send_modify(|_| {});
                    }
                    // There is room for the few a guest is ever told, or it has stopped reading.
                    if !to_guest.tell(told) {
                        break unread();
                    }
                }
            },
            report = lines.next() => match report {
                Ok(Some(GuestReport::Fatal { reason, detail })) => {
                    break End { reason: believable(reason), detail };
                }
                Ok(Some(GuestReport::MeasureDisk { question })) => {
                    measure.send_modify(|asked| asked.guest = question);
                }
                Ok(Some(report)) => {
                    ready |= matches!(report, GuestReport::Ready { .. });
                    let _ = reports.send(ShimReport::Guest { said: report });
                }
                // The exit itself tells more; a guest that only hangs up is as good as gone.
                Ok(None) => break match timeout(GONE_WITHIN, &mut exit).await {
                    Ok(how) => death(how, &cgroup, host_kills),
                    Err(_) => End {
                        reason: EndReason::Crashed,
                        detail: "the guest closed its connection but did not exit".to_owned(),
                    },
                },
                Err(error) => break End {
                    reason: EndReason::Crashed,
                    detail: format!("the guest sent a message that cannot be read: {error}"),
                },
            },
            how = &mut exit => break death(how, &cgroup, host_kills),
            detail = &mut disk => break End { reason: EndReason::DiskFull, detail },
            () = &mut orphaned => break End {
                reason: EndReason::HostLost,
                detail: "no server was connected to the session any more".to_owned(),
            },
        }
    };
    tracing::info!(reason = ?end.reason, detail = end.detail, "the session ends");
    drop(others);
    // The session is over for whatever reason there was; what is left of it, `serve` clears away.
    if let Err(error) = clear(&cgroup, &raised.pidfd) {
        tracing::error!(%error, "some of the session could not be removed; the server does that when the shim has ended");
    }
    let _ = reports.send(ShimReport::Ended { reason: end.reason, detail: end.detail });
    drop(reports);
    // Everyone connected gets the last line; none of them can hold the shim up for long.
    let flush = async { while talks.join_next().await.is_some() {} };
    let _ = timeout(Duration::from_secs(2), flush).await;
    Ok(())
}

/// The end of a session whose guest has stopped reading.
fn unread() -> End {
    let detail = "the guest reads no commands any more".to_owned();
    End { reason: EndReason::Crashed, detail }
}

/// The next to connect, but not before `from`.
async fn accept(listener: &UnixListener, from: Instant) -> io::Result<UnixStream> {
    sleep_until(from).await;
    listener.accept().await.map(|(socket, _)| socket)
}

/// A guest may say how it failed. That it was deleted, or the server shut down, is not its to say.
fn believable(reason: EndReason) -> EndReason {
    match reason {
        EndReason::OutOfMemory | EndReason::FailedToStart => reason,
        _ => EndReason::Crashed,
    }
}

/// Kills everything inside and reaps PID 1; its namespaces and mounts go with it.
fn clear(cgroup: &cgroup::Session, pidfd: &OwnedFd) -> io::Result<()> {
    // PID 1 first: the kernel then kills its whole pid namespace, also where there is no cgroup.
    let _ = rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
    let killed = cgroup.kill_inside();
    match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
        Ok(_) | Err(rustix::io::Errno::CHILD) => {}
        Err(error) => return Err(error.into()),
    }
    // Nothing inside outlives PID 1, so by now this is only a cgroup that may be left.
    killed.map_err(io::Error::other)
}

/// Waits for PID 1 to exit; leaves it to be reaped by [`clear`].
async fn exited(pidfd: &OwnedFd, mut children: Signal) -> Option<WaitIdStatus> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    loop {
        match waitid(WaitId::PidFd(pidfd.as_fd()), options) {
            Ok(Some(status)) => return Some(status),
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
        children.recv().await?;
    }
}

/// What the exit of PID 1 says about why. `host_kills`: see [`host_memory::kills`], at the start.
fn death(how: Option<WaitIdStatus>, cgroup: &cgroup::Session, host_kills: u64) -> End {
    let detail = match &how {
        Some(status) if status.exited() => {
            format!("the guest exited with status {}", status.exit_status().unwrap_or(-1))
        }
        Some(status) => {
            format!("the guest was killed by signal {}", status.terminating_signal().unwrap_or(-1))
        }
        None => "the guest went away".to_owned(),
    };
    let killed = how.is_some_and(|status| {
        status.terminating_signal() == Some(rustix::process::Signal::KILL.as_raw())
    });
    // Without a cgroup that counts there is the whole host's count only, which others' ends are in.
    let for_memory = match cgroup.limits_memory() {
        true => cgroup.oom_kills() > 0,
        false => host_memory::kills() > host_kills,
    };
    if !(killed && for_memory) {
        return End { reason: EndReason::Crashed, detail };
    }
    let what = match cgroup.reached_memory_limit() {
        true => "the session reached its memory limit",
        false => "the machine ran out of memory",
    };
    End { reason: EndReason::OutOfMemory, detail: format!("{detail} because {what}") }
}

/// Resolves once no server has been connected for `grace`.
async fn orphaned(mut peers: watch::Receiver<usize>, grace: Duration) {
    loop {
        if peers.wait_for(|count| *count == 0).await.is_err() {
            return;
        }
        let back = peers.wait_for(|count| *count > 0);
        if tokio::time::timeout(grace, back).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Child, Command, Stdio};

    use browserd_protocol::Walls;
    use browserd_sandbox::WallError;
    use browserd_sandbox::cgroup::{Hierarchies, Limits};
    use browserd_sandbox::walls::{Identity, Raised};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;

    fn spec() -> SessionSpec {
        serde_json::from_value(serde_json::json!({
            "generation": GENERATION, "session_id": "a".repeat(24), "dir": "/", "skeleton": "/",
            "cgroups": {"parent": ""}, "orphan_seconds": 60, "pids_max": 64, "cpu_weight": 100,
            "config": {
                "headless": true, "kiosk_mode": false, "viewport": {"width": 800, "height": 600},
                "memory": "1GiB", "region": "us-east", "timeout_seconds": 60,
            },
            "timezone": "UTC", "locale": "en-US", "programs": {"chromium": "/"},
            "egress": {}, "log": "",
        }))
        .unwrap()
    }

    /// Runs a session whose guest does as it is told here, without walls; how it ends.
    fn end_of(guest: impl FnOnce(StdStream, &mut Child)) -> (EndReason, String) {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("/bin/cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let limits = Limits { memory: 1 << 30, pids: 64, cpu_weight: 100, cpu_max_pct: None };
        let (ours, theirs) = StdStream::pair().unwrap();
        let (log, _) = rustix::pipe::pipe().unwrap();
        let session = Session {
            raised: Raised {
                pid,
                pidfd: pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap(),
                listeners: Listeners {
                    proxy: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
                    redirected: Err(WallError {
                        step: "redirect".into(),
                        source: io::ErrorKind::Unsupported.into(),
                    }),
                },
                overlay: false,
            },
            cgroup: cgroup::Session::create(&Hierarchies::default(), "", "", &limits, None)
                .unwrap(),
            walls: Walls::default(),
            guest: ours,
            guest_log: log,
            control: std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap(),
            _identity: Identity::Own { inside_uid: 1000 },
        };
        let (serve, shim_end) = StdStream::pair().unwrap();
        guest(theirs, &mut child);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(live(&spec(), session, &shim_end)).unwrap();
        drop(shim_end);
        let said = io::read_to_string(serve).unwrap();
        let last = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert!(child.try_wait().is_err(), "it has been reaped");
        match last {
            ShimReport::Ended { reason, detail } => (reason, detail),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_guest_that_hangs_up_and_stays_is_ended() {
        let (reason, detail) = end_of(|line, _| drop(line));
        assert_eq!(reason, EndReason::Crashed);
        assert!(detail.contains("closed its connection"), "{detail}");
    }

    #[test]
    fn a_guest_that_exits_is_told_from_one_that_hangs_up() {
        let (reason, detail) = end_of(|line, child| {
            drop(child.stdin.take());
            drop(line);
        });
        assert_eq!(reason, EndReason::Crashed);
        assert!(detail.contains("exited with status 0"), "{detail}");
    }

    #[test]
    fn a_guest_may_say_how_it_failed_but_not_who_ended_it() {
        for (said, believed) in [
            (EndReason::OutOfMemory, EndReason::OutOfMemory),
            (EndReason::FailedToStart, EndReason::FailedToStart),
            (EndReason::Deleted, EndReason::Crashed),
            (EndReason::ServerShutdown, EndReason::Crashed),
        ] {
            let report = GuestReport::Fatal { reason: said, detail: "words".to_owned() };
            let mut text = serde_json::to_vec(&report).unwrap();
            text.push(b'\n');
            // The line stays open: that is not what ends it.
            let mut open = None;
            let end = end_of(|mut line, _| {
                line.write_all(&text).unwrap();
                open = Some(line);
            });
            assert_eq!(end, (believed, "words".to_owned()));
        }
    }
}
