//! The session's browser: starts Chromium (and its X server), knows when it is ready, and starts
//! it again when it goes.
//!
//! ```text
//!            ┌─────────────────────────────────────────────────────────┐
//!            ▼                                                         │ delay grows with
//!   [starting] ── port on stderr, version over the pipe, one page ──▶ [running] ── exit, pipe
//!      │   │                                                         closed, X server or zygote gone
//!      │   └─ never ready, 6 times in a row ─▶ [stopped], Fatal to the shim
//!      └───── cannot be started, ever ──────▶ [stopped], Fatal to the shim
//!
//!  [running] ── retired, and then its exit ──▶ [stopped], nothing to the shim
//! ```
//!
//! Owns Chromium's processes, its log files and the pipe. One task does it all; others read the
//! state, or wait for the next running browser with [`Browser::connect`].

mod assign;
mod chromium;
mod desired_state;
mod evaluate;
mod fit;
mod formats;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod lines;
mod logs;
mod memory_watch;
mod open_order;
mod page_order;
mod policy_extensions;
mod randr;
mod relocate;
mod resize;
mod restarts;
mod retire;
mod start_page;
mod storage;
mod supervisor;
mod window_manager;
mod xserver;
mod zygote;

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use browserd_chromium::cdp::Cdp;
use browserd_chromium::devtools::Endpoint;
use browserd_guest_session::{Session, ShimLine};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use formats::Formats;

pub use desired_state::DesiredState;
pub use logs::{Logs, pump};
pub use open_order::OpenOrder;
pub use page_order::PageOrder;
pub use policy_extensions::{PolicyExtension, PolicyInstallError};
pub use relocate::RelocateError;
pub use resize::ResizeError;
pub use retire::RetireError;
pub use storage::{HeldStorage, hold as hold_storage};

/// How long a request waits for a browser that is starting.
pub const READY_WITHIN: Duration = Duration::from_secs(30);

/// The page that can have policies read.
const POLICY_PAGE: &str = "chrome://policy/";

/// A browser that is ready for clients.
#[derive(Debug, Clone)]
pub struct Running {
    /// Counts the starts of this session, from 1.
    pub generation: u64,
    /// Its main process.
    pub pid: i32,
    /// Its debugging port.
    pub endpoint: Endpoint,
    /// Its pipe.
    pub cdp: Cdp,
    /// The language it started with.
    pub locale: Arc<str>,
}

/// What the browser is doing.
#[derive(Debug, Clone)]
pub enum BrowserState {
    /// Not ready, but on its way.
    Starting,
    /// Ready.
    Running(Running),
    /// Gone for good, with the reason in words.
    Stopped(Arc<str>),
}

/// Why there is no browser to talk to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoBrowser {
    /// It is being started and did not get ready in time.
    #[error("Chromium is starting and was not ready within {} s; try again", READY_WITHIN.as_secs())]
    NotYet,
    /// It will not come back.
    #[error("Chromium is gone for good: {0}")]
    Stopped(Arc<str>),
    /// It is there, and the connection to it could not be made.
    #[error("no connection to Chromium could be made: {0}; try again")]
    NoConnection(Arc<str>),
}

/// The session's browser. Cheap to clone.
#[derive(Clone)]
pub struct Browser {
    state: watch::Receiver<BrowserState>,
    stop: CancellationToken,
    /// Chromium is not started again, and its end is not reported as lost.
    retired: CancellationToken,
    tasks: TaskTracker,
    logs: Arc<Logs>,
    desired_state: Arc<DesiredState>,
    /// Display of the X server, in a headful session.
    display: Option<String>,
    /// One change of size at a time, and the heights windows were given.
    resizing: fit::Resizing,
    /// One change of location at a time, and what it needs kept up.
    relocating: Arc<tokio::sync::Mutex<Option<Formats>>>,
    /// The order of pages, where it tells which one is in front.
    open_order: Option<OpenOrder>,
    session: Arc<Session>,
}

impl Browser {
    /// Starts the session's browser and keeps it running; reports to the shim. Answers at once.
    /// Must be called inside a Tokio runtime.
    #[must_use]
    pub fn start(session: Arc<Session>, shim: ShimLine) -> Self {
        let (publish, state) = watch::channel(BrowserState::Starting);
        let logs = Arc::new(Logs::new(session.places.logs.clone()));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let retired = CancellationToken::new();
        if let Some(limit) = session.spec.watch_memory {
            let watch = memory_watch::watch(limit, session.children.clone(), shim.clone());
            tasks.spawn(stop.clone().run_until_cancelled_owned(watch));
        }
        let open_order = session.spec.runs_shell().then(OpenOrder::default);
        let desired_state = Arc::new(DesiredState::new(&session.spec.config));
        let display = (!session.spec.config.headless)
            .then(|| browserd_guest_session::environment::display(&session));
        let (resizing, relocating) = (fit::Resizing::default(), Arc::default());
        let supervisor = supervisor::Supervisor {
            session: Arc::clone(&session),
            shim,
            publish,
            logs: Arc::clone(&logs),
            desired_state: Arc::clone(&desired_state),
            stop: stop.clone(),
            retired: retired.clone(),
            open_order: open_order.clone(),
            resizing: Arc::clone(&resizing),
        };
        tasks.spawn(supervisor.run());
        Self {
            state,
            stop,
            retired,
            tasks,
            logs,
            desired_state,
            display,
            resizing,
            relocating,
            open_order,
            session,
        }
    }

    /// Whether it is `chromium-headless-shell`.
    #[must_use]
    pub fn runs_shell(&self) -> bool {
        self.session.spec.runs_shell()
    }

    /// The order of its pages, where it tells which one is in front.
    #[must_use]
    pub fn open_order(&self) -> Option<OpenOrder> {
        self.open_order.clone()
    }

    /// What it is doing, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<BrowserState> {
        self.state.clone()
    }

    /// The running browser; waits for one that is starting, at most [`READY_WITHIN`].
    ///
    /// # Errors
    ///
    /// [`NoBrowser`] when there is none in time or never will be.
    pub async fn running(&self) -> Result<Running, NoBrowser> {
        self.running_after(0, Instant::now() + READY_WITHIN).await
    }

    /// As [`Browser::running`], one started after `generation`, until `deadline`.
    async fn running_after(
        &self,
        generation: u64,
        deadline: Instant,
    ) -> Result<Running, NoBrowser> {
        let mut state = self.state.clone();
        let wanted = state.wait_for(|state| match state {
            BrowserState::Starting => false,
            BrowserState::Running(running) => running.generation > generation,
            BrowserState::Stopped(_) => true,
        });
        match tokio::time::timeout_at(deadline, wanted).await {
            Err(_) => Err(NoBrowser::NotYet),
            Ok(Err(_)) => Err(NoBrowser::Stopped("the guest is ending".into())),
            Ok(Ok(state)) => match &*state {
                BrowserState::Running(running) => Ok(running.clone()),
                BrowserState::Stopped(why) => Err(NoBrowser::Stopped(Arc::clone(why))),
                BrowserState::Starting => Err(NoBrowser::NotYet),
            },
        }
    }

    /// A fresh connection to the debugging port. While Chromium is away, waits for it to come back,
    /// at most [`READY_WITHIN`].
    ///
    /// # Errors
    ///
    /// [`NoBrowser`] when there is none in time or never will be, or the kernel has no connection
    /// to give.
    pub async fn connect(&self) -> Result<(TcpStream, Running), NoBrowser> {
        let deadline = Instant::now() + READY_WITHIN;
        let mut generation = 0;
        loop {
            let running = self.running_after(generation, deadline).await?;
            match connect_to(running.endpoint.port).await {
                Ok(stream) => return Ok((stream, running)),
                // It has just died, and its end is about to be noticed.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    tracing::debug!(%error, port = running.endpoint.port, "no connection");
                    generation = running.generation;
                }
                Err(error) => return Err(NoBrowser::NoConnection(error.to_string().into())),
            }
        }
    }

    /// Kills Chromium, its driver and the X server, and waits until nothing of them is left.
    ///
    /// Nobody asks Chromium to close and write its profile out: a session's end is quick (the shim
    /// kills PID 1) and its profile goes with it. A profile that is to outlive the session is saved
    /// before, after `Browser::retire`.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Runs a task that belongs to the browser: it is to end when the token is cancelled, and
    /// [`Browser::stop`] waits for it.
    pub fn spawn<F>(&self, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task(self.stop.clone()));
    }

    /// What holds for every Chromium of the session.
    #[must_use]
    pub fn desired_state(&self) -> &Arc<DesiredState> {
        &self.desired_state
    }

    /// The log files of the session's programs.
    #[must_use]
    pub fn logs(&self) -> &Arc<Logs> {
        &self.logs
    }
}

async fn connect_to(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
