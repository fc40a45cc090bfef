//! The `chromedriver` process: one task owns it, starts it when it is needed and again when it
//! has died.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use browserd_guest_browser::{Browser, Logs, pump};
use browserd_guest_session::environment::{self, User};
use browserd_guest_session::{Child, Session};
use browserd_sandbox::child::{Input, Launch};
use browserd_sandbox::leaf::Leaf;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How long the start may take.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Requests that may wait for the start.
const QUEUE: usize = 64;
/// What precedes the port in the line that says that the driver is ready.
const READY: &[u8] = b"was started successfully on port ";

/// Why there is no driver.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NoDriver {
    /// The host has none.
    #[error(
        "this host has no chromedriver, which WebDriver needs; install it (Debian: chromium-driver)"
    )]
    NotInstalled,
    /// It could not be started.
    #[error("chromedriver does not start: {0}")]
    Failed(String),
}

type Answer = oneshot::Sender<Result<u16, NoDriver>>;

/// The session's driver. Cheap to clone; the process ends with the browser.
#[derive(Clone)]
pub(super) struct Driver {
    requests: mpsc::Sender<Answer>,
}

impl Driver {
    /// Starts nothing yet.
    pub(super) fn new(session: Arc<Session>, browser: &Browser) -> Self {
        let (requests, queue) = mpsc::channel(QUEUE);
        let logs = Arc::clone(browser.logs());
        browser.spawn(|stop| own(session, logs, queue, stop));
        Self { requests }
    }

    /// The port of the running driver; starts it if need be.
    pub(super) async fn port(&self) -> Result<u16, NoDriver> {
        let ending = || NoDriver::Failed("the guest is ending".into());
        let (answer, port) = oneshot::channel();
        self.requests.send(answer).await.map_err(|_| ending())?;
        port.await.map_err(|_| ending())?
    }
}

async fn own(
    session: Arc<Session>,
    logs: Arc<Logs>,
    mut queue: mpsc::Receiver<Answer>,
    stop: CancellationToken,
) {
    let leaf = session.leaves.as_ref().and_then(|leaves| leaves.create("chromedriver").ok());
    let mut running: Option<(Child, u16)> = None;
    while let Some(Some(answer)) = stop.run_until_cancelled(queue.recv()).await {
        let port = match &running {
            Some((child, port)) if child.exit.borrow().is_none() => Ok(*port),
            _ => {
                let started = start(&session, &logs, leaf.as_ref()).await;
                started.map(|(child, port)| running.insert((child, port)).1)
            }
        };
        if let Err(error) = &port {
            logs.event(&error.to_string());
        }
        // The asker may have gone.
        let _ = answer.send(port);
    }
    if let Some((mut child, _)) = running {
        session.children.kill(&child);
        child.wait().await;
    }
    if let Some(leaf) = leaf {
        let _ = leaf.remove();
    }
}

async fn start(
    session: &Session,
    logs: &Logs,
    leaf: Option<&Leaf>,
) -> Result<(Child, u16), NoDriver> {
    let failed = |error: io::Error| NoDriver::Failed(error.to_string());
    let program = session.spec.programs.chromedriver.as_deref().ok_or(NoDriver::NotInstalled)?;
    let program = CString::new(program.as_os_str().as_bytes()).map_err(|e| failed(e.into()))?;
    let (output, output_theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| failed(e.into()))?;
    let (ready, announced) = oneshot::channel();
    let mut child = {
        let mut launch = Launch::new(program).arg(c"--port=0");
        launch.envp = environment::to_envp(&environment::base(session, &User::browser(session)));
        launch.ids = session.browser_ids();
        launch.limits = vec![session.descriptor_limit];
        launch.stdout = Input::Fd(output_theirs.try_clone().map_err(failed)?);
        launch.stderr = Input::Fd(output_theirs);
        let leaf = leaf.map(|leaf| leaf.dir().try_clone_to_owned()).transpose();
        launch.cgroup = leaf.map_err(failed)?;
        let started = session.children.start(&launch);
        started.map_err(|error| failed(io::Error::other(error)))?
    };
    let mut ready = Some(ready);
    tokio::spawn(pump(output, logs.file("chromedriver.log"), move |line| {
        if let Some(port) = announced_port(line)
            && let Some(ready) = ready.take()
        {
            let _ = ready.send(port);
        }
    }));
    match tokio::time::timeout(READY_WITHIN, announced).await {
        Ok(Ok(port)) => {
            logs.event("chromedriver is ready");
            Ok((child, port))
        }
        ended => {
            session.children.kill(&child);
            let status = child.wait().await;
            Err(NoDriver::Failed(match ended {
                Err(_) => format!("it was not ready within {READY_WITHIN:?}"),
                Ok(_) => format!("it ended with status {}; see chromedriver.log", status.code),
            }))
        }
    }
}

fn announced_port(line: &[u8]) -> Option<u16> {
    let at = line.windows(READY.len()).position(|part| part == READY)?;
    let rest = line[at + READY.len()..].trim_ascii();
    let number = rest.strip_suffix(b".").unwrap_or(rest);
    if !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(number).ok()?.parse().ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_ready() {
        let line = b"ChromeDriver was started successfully on port 42047.";
        assert_eq!(announced_port(line), Some(42047));
        assert_eq!(
            announced_port(b"ChromeDriver was started successfully on port 42047"),
            Some(42047)
        );
        for other in [
            b"Starting ChromeDriver 156 on port 0".as_slice(),
            b"",
            b"ChromeDriver was started successfully on port 0.",
            b"ChromeDriver was started successfully on port +1.",
            b"ChromeDriver was started successfully on port 99999.",
            b"ChromeDriver was started successfully on port .",
        ] {
            assert_eq!(announced_port(other), None);
        }
    }
}
