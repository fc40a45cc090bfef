//! The life of the guest: take over what the shim left open, serve, end.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;

use browserd_guest_browser::Browser;
use browserd_guest_computer::Computer;
use browserd_guest_fs::Files;
use browserd_guest_fs::logs::LogStreams;
use browserd_guest_process::{Processes, Retention};
use browserd_guest_profile::Profile;
use browserd_guest_profile::extensions::Extensions;
use browserd_guest_screen::Screen;
use browserd_guest_screen::replays::{self, Replays};
use browserd_guest_session::disk::Disk;
use browserd_guest_session::location::InForce;
use browserd_guest_session::wake_lock::WakeLocks;
use browserd_guest_session::{Children, Commands, Places, Session, ShimLine};
use browserd_guest_web::curl::Curl;
use browserd_guest_web::playwright::Playwright;
use browserd_guest_web::repl::Repl;
use browserd_guest_web::{Kit, webdriver};
use browserd_protocol::{DiskLimit, DiskReserve, GuestCommand, GuestReport, GuestSpec, guest_fd};
use browserd_sandbox::child::adopt_fd;
use browserd_sandbox::leaf::Leaves;
use browserd_sandbox::usage::Usage;
use rustix::process::DumpableBehavior;

use crate::handoff;
use crate::http;
use crate::internal;
use crate::limits::raise_descriptor_limit;

/// A guest about to run: what it is to serve, and the sockets it serves on. [`Guest::inherited`]
/// makes the real one; tests make their own, without walls.
pub struct Guest {
    /// What the session is.
    pub spec: GuestSpec,
    /// Where things are.
    pub places: Places,
    /// The line to the shim; the guest ends when the other side closes it.
    pub shim: Option<UnixStream>,
    /// Listener of the HTTP API.
    pub http: UnixListener,
    /// Listener that hands out sockets; without it no browser is started either.
    pub handoff: Option<UnixListener>,
    /// Directory of the session's cgroup.
    pub cgroup: Option<OwnedFd>,
    /// How much output of processes is kept.
    pub retention: Retention,
}

/// Runs the guest of a session on this thread until the session ends; returns when the process is
/// to exit. Everything else inside dies with it, for it is PID 1.
///
/// # Errors
///
/// When what the shim should have left open is not there, or the runtime cannot be made.
pub fn run(spec: GuestSpec) -> io::Result<()> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let guest = Guest::inherited(spec)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(guest.run())
}

impl Guest {
    /// Takes over the descriptors of [`guest_fd`]. Call it once, before anything opens others.
    ///
    /// # Errors
    ///
    /// When one of them is not open.
    pub fn inherited(spec: GuestSpec) -> io::Result<Self> {
        let cgroup = spec.has_cgroup.then(|| adopt_fd(guest_fd::CGROUP)).transpose()?;
        Ok(Self {
            places: Places::default(),
            shim: Some(UnixStream::from(adopt_fd(guest_fd::SHIM)?)),
            http: UnixListener::from(adopt_fd(guest_fd::HTTP)?),
            handoff: Some(UnixListener::from(adopt_fd(guest_fd::HANDOFF)?)),
            cgroup,
            retention: Retention::default(),
            spec,
        })
    }

    /// Serves until the shim is gone. No signal ends it but what the kernel sends: PID 1 gets only those it
    /// handles, and what is handled, everybody inside could send.
    ///
    /// # Errors
    ///
    /// When something the guest cannot do without is refused by the kernel.
    pub async fn run(self) -> io::Result<()> {
        let descriptor_limit = raise_descriptor_limit();
        let (shim, commands) = match self.shim {
            Some(socket) => {
                let (line, commands) = ShimLine::new(socket)?;
                (line, Some(commands))
            }
            None => (ShimLine::nowhere(), None),
        };
        let session = Arc::new(Session {
            disk: Disk::new(
                DiskLimit::of(self.spec.disk_limit),
                DiskReserve::of(self.spec.disk_reserve),
                shim.clone(),
            ),
            location: InForce::at_start(&self.spec),
            spec: self.spec,
            places: self.places,
            children: Children::new()?,
            leaves: self.cgroup.map(Leaves::new),
            wake_locks: WakeLocks::default(),
            descriptor_limit,
        });
        let processes = Processes::new(Arc::clone(&session), self.retention)?;
        tokio::spawn(session.wake_locks.clone().report(shim.clone()));
        let mut services = tokio::task::JoinSet::new();
        let files = Files::new(Arc::clone(&session));
        let browser = self.handoff.map(|listener| {
            let browser = Browser::start(Arc::clone(&session), shim.clone());
            services.spawn(handoff::serve(listener, browser.clone(), files.offers().clone()));
            browser
        });
        let kit = Kit { session: Arc::clone(&session), groups: processes.groups() };
        let mut router = http::router(http::Services {
            processes: processes.clone(),
            files,
            logs: LogStreams::new(Arc::clone(&session)),
            requests: Arc::default(),
            browser: browser.clone().map(|browser| http::BrowserServices {
                computer: Computer::new(&session, browser.clone()),
                curl: Curl::new(browser.clone()),
                extensions: Extensions::new(Arc::clone(&session), browser.clone()),
                playwright: Playwright::new(kit.clone(), browser.clone()),
                repl: Repl::new(kit, browser),
            }),
        });
        if let Some(browser) = &browser {
            router = router.merge(webdriver::router(Arc::clone(&session), browser.clone()));
            let profile = Profile::new(Arc::clone(&session), browser.clone());
            router = router.merge(internal::router(browser.clone(), profile));
            let screen = Screen::new(Arc::clone(&session), browser.clone());
            let replays = Replays::new(Arc::clone(&session), browser.clone(), screen);
            router = router.merge(replays::router(replays));
        }
        services.spawn(browserd_guest_http::serve(self.http, router));
        let shim_gone = obey(commands, shim, Arc::clone(&session), processes.clone(), browser);
        let outcome = tokio::select! {
            () = shim_gone => Ok(()),
            served = services.join_next() => match served {
                Some(Ok(Err(error))) => Err(error),
                other => Err(io::Error::other(format!("a service ended: {other:?}"))),
            },
        };
        // Nothing is asked to end by itself: see `Browser::stop`.
        processes.kill_all();
        session.children.kill_all();
        outcome
    }
}

/// Does what the shim asks until it is gone; without a shim, for ever.
async fn obey(
    commands: Option<Commands>,
    shim: ShimLine,
    session: Arc<Session>,
    processes: Processes,
    browser: Option<Browser>,
) {
    let Some(mut commands) = commands else { return std::future::pending().await };
    while let Some(command) = commands.next().await {
        match command {
            GuestCommand::Assign { request, to } => {
                let (shim, browser) = (shim.clone(), browser.clone());
                tokio::spawn(async move {
                    let failure = match browser {
                        Some(browser) => browser.assign(to).await.err().map(|why| why.to_string()),
                        None => Some("there is no browser".to_owned()),
                    };
                    shim.report(GuestReport::Answered { request, failure }).await;
                });
            }
            GuestCommand::Ping { request } => {
                let shim = shim.clone();
                let answer = GuestReport::Answered { request, failure: None };
                tokio::spawn(async move { shim.report(answer).await });
            }
            GuestCommand::Disk { bytes, files, free, free_files, question } => {
                let free = Usage { bytes: free, files: free_files };
                session.disk.counted(Usage { bytes, files }, free, question);
            }
            GuestCommand::EndProcesses { why } => {
                if let Some(browser) = &browser {
                    browser.logs().event(&format!("processes are killed: {why}"));
                }
                processes.kill_all();
                // What is counted before this may still grow; the shim goes by what is counted after it.
                let disk = session.disk.clone();
                tokio::spawn(async move { disk.recount().await });
            }
        }
    }
}
