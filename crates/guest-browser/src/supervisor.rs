//! The one task that keeps Chromium running.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use browserd_api::browser::EndReason;
use browserd_chromium::cdp::Cdp;
use browserd_guest_session::{Child, ExitStatus, Session, ShimLine, environment};
use browserd_protocol::GuestReport;
use browserd_sandbox::child::LaunchError;
use browserd_sandbox::leaf::Leaf;
use rustix::process::{Pid, Signal};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::OpenOrder;
use super::chromium::{self, Chromium};
use super::logs::Logs;
use super::restarts::{Decision, Life, Restarts};
use super::{
    BrowserState, DesiredState, Running, fit, policy_extensions, randr, start_page, window_manager,
    xserver, zygote,
};

/// How long a start may take; many at once on a small machine take seconds.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long the processes of a Chromium that ended may take to be gone.
const CLEAR_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no Chromium any more when its profile was saved.
const RETIRED: &str = "it was closed so that its profile could be saved";

pub(super) struct Supervisor {
    pub(super) session: Arc<Session>,
    pub(super) shim: ShimLine,
    pub(super) publish: watch::Sender<BrowserState>,
    pub(super) logs: Arc<Logs>,
    pub(super) desired_state: Arc<DesiredState>,
    pub(super) stop: CancellationToken,
    /// Chromium is to end for good, and by itself.
    pub(super) retired: CancellationToken,
    /// Follows the order of pages, where it tells which one is in front.
    pub(super) open_order: Option<OpenOrder>,
    /// What windows of a headless session were given.
    pub(super) resizing: fit::Resizing,
}

/// How one life of Chromium ended.
struct End {
    detail: String,
    life: Life,
}

/// What lasts from one Chromium to the next.
#[derive(Default)]
struct Lasting {
    generation: u64,
    x_server: Option<Child>,
    /// The shim was told that the session is ready.
    was_ready: bool,
    /// The shim was told that Chromium is lost.
    lost: bool,
}

impl Supervisor {
    pub(super) async fn run(self) {
        let mut lasting = Lasting::default();
        let mut restarts = Restarts::default();
        let began = Instant::now();
        let why = loop {
            let end = self.one_life(&mut lasting, began).await;
            self.publish.send_replace(BrowserState::Starting);
            if self.stop.is_cancelled() {
                break "the session is ending".to_owned();
            }
            if self.retired.is_cancelled() {
                self.logs.event(&format!("chromium {} because its profile is saved", end.detail));
                break RETIRED.to_owned();
            }
            let delay = match restarts.ended(end.life) {
                Decision::After(delay) => delay,
                Decision::GiveUp => {
                    self.give_up(&lasting, &end.detail).await;
                    break end.detail;
                }
            };
            self.logs.event(&format!("chromium {}; restarting it", end.detail));
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                () = self.stop.cancelled() => break "the session is ending".to_owned(),
                () = self.retired.cancelled() => break RETIRED.to_owned(),
            }
        };
        if let Some(mut x_server) = lasting.x_server.take() {
            kill_group(x_server.pid);
            x_server.wait().await;
        }
        self.publish.send_replace(BrowserState::Stopped(why.into()));
    }

    /// A cgroup for one life. Each life has its own: what is born into a cgroup that has once been
    /// killed as a whole is killed at birth, at least by Linux 6.18.
    fn make_leaf(&self, generation: u64) -> Option<Leaf> {
        match self.session.leaves.as_ref()?.create(&format!("chromium-{generation}")) {
            Ok(leaf) => Some(leaf),
            Err(error) => {
                tracing::warn!(
                    %error,
                    "no cgroup could be made for Chromium; it is killed by its process group instead"
                );
                None
            }
        }
    }

    async fn give_up(&self, lasting: &Lasting, detail: &str) {
        self.logs.event(&format!("chromium {detail}; giving up, the session ends"));
        let (reason, detail) = if lasting.was_ready {
            (EndReason::Crashed, format!("Chromium cannot be kept running: it {detail}"))
        } else {
            (EndReason::FailedToStart, format!("Chromium does not start: it {detail}"))
        };
        self.shim.report(GuestReport::Fatal { reason, detail }).await;
    }

    /// Starts what must be started, tells when it is ready, and answers when it has ended and
    /// nothing of it is left.
    async fn one_life(&self, lasting: &mut Lasting, began: Instant) -> End {
        if !self.session.spec.config.headless
            && let Err(error) = self.ensure_x_server(lasting).await
        {
            let life = if no_room(&error) { Life::NoRoom } else { Life::NeverReady };
            return End { detail: error.to_string(), life };
        }
        lasting.generation += 1;
        let leaf = self.make_leaf(lasting.generation);
        let started =
            chromium::start(&self.session, &self.desired_state, leaf.as_ref(), &self.logs);
        let mut chromium = match started {
            Ok(chromium) => chromium,
            Err(error) => {
                remove(leaf.as_ref());
                let life = if no_room(&error) { Life::NoRoom } else { Life::CannotStart };
                return End { detail: error.to_string(), life };
            }
        };
        let (detail, ready_since) = self.attend(&mut chromium, lasting, began).await;
        let life = ready_since.map_or(Life::NeverReady, |since| Life::Ready(since.elapsed()));
        self.publish.send_replace(BrowserState::Starting);
        if !self.stop.is_cancelled() && !self.retired.is_cancelled() {
            self.tell_lost(lasting, &detail).await;
        }
        self.clear(&mut chromium, leaf.as_ref()).await;
        remove(leaf.as_ref());
        let words = chromium.last_words();
        let detail = if ready_since.is_some() || words.is_empty() {
            detail
        } else {
            format!("{detail}; its last words: {words}")
        };
        End { detail, life }
    }

    /// Waits for a Chromium to become ready and then for its end; answers how it ended and since
    /// when it was ready.
    async fn attend(
        &self,
        chromium: &mut Chromium,
        lasting: &mut Lasting,
        began: Instant,
    ) -> (String, Option<Instant>) {
        let mut exit = chromium.child.exit.clone();
        let cdp = chromium.cdp.clone();
        let mut x_exit = lasting.x_server.as_ref().map(|x_server| x_server.exit.clone());
        let gone = async {
            tokio::select! {
                // The exit says most, so it is asked first.
                biased;
                status = exit.wait_for(Option::is_some) => match status {
                    Ok(status) => describe((*status).as_ref()),
                    Err(_) => "ended".to_owned(),
                },
                () = x_gone(x_exit.as_mut()) => "lost its X server".to_owned(),
                () = closed_for_good(&cdp) => "closed its pipe".to_owned(),
                () = self.stop.cancelled() => "was asked to end".to_owned(),
            }
        };
        tokio::pin!(gone);
        let ready = chromium.ready(&self.session.places.downloads);
        let (endpoint, page) = tokio::select! {
            biased;
            detail = &mut gone => return (detail, None),
            ready = tokio::time::timeout(START_WITHIN, ready) => match ready {
                Ok(Ok(ready)) => ready,
                Ok(Err(error)) => {
                    return (end_or(gone, &format!("did not get ready: {error}")).await, None);
                }
                Err(_) => return (format!("did not get ready within {START_WITHIN:?}"), None),
            },
        };
        let restored = self.restore(&chromium.cdp);
        tokio::select! {
            biased;
            detail = &mut gone => return (detail, None),
            () = restored => {}
        }
        if let Some(open_order) = &self.open_order
            && let Err(error) = open_order.follow(&chromium.cdp).await
        {
            // Gone already, most likely; else any page is as good as another.
            tracing::warn!(
                %error,
                "pages of this Chromium cannot be followed; the one in front may not be the newest"
            );
        }
        if self.session.spec.config.headless && !self.session.spec.runs_shell() {
            self.follow_windows(chromium);
        }
        let since = Instant::now();
        let generation = lasting.generation;
        let running = Running {
            generation,
            pid: chromium.child.pid,
            endpoint,
            cdp: chromium.cdp.clone(),
            locale: Arc::clone(&chromium.locale),
        };
        self.publish.send_replace(BrowserState::Running(running));
        self.tell_ready(lasting, began, &chromium.cdp, page).await;
        let detail = tokio::select! {
            biased;
            detail = &mut gone => detail,
            () = zygote::ended(chromium.child.pid) => {
                end_or(gone, "lost a zygote, without which it opens no page").await
            }
        };
        (detail, Some(since))
    }

    /// Sees to the size of windows that open.
    fn follow_windows(&self, chromium: &Chromium) {
        let (desired_state, resizing) =
            (Arc::clone(&self.desired_state), Arc::clone(&self.resizing));
        let (cdp, window) = (chromium.cdp.clone(), chromium.window);
        // Nobody waits for it: who changes sizes may be waiting for this Chromium.
        tokio::spawn(async move {
            if let Err(error) = fit::follow(&cdp, desired_state, resizing, window).await {
                tracing::debug!(%error, "new windows of this Chromium cannot be followed");
            }
        });
    }

    /// Gives a Chromium what clients gave the one before.
    async fn restore(&self, cdp: &Cdp) {
        for folder in self.desired_state.extensions() {
            if let Err(error) = cdp.load_extension(&folder).await {
                self.logs
                    .event(&format!("after the restart an extension could not be loaded: {error}"));
            }
        }
        if let Err(error) = policy_extensions::restored(cdp, &self.desired_state).await {
            self.logs.event(&format!(
                "after the restart policy-installed extensions are missing: {error}"
            ));
        }
    }

    async fn tell_ready(&self, lasting: &mut Lasting, began: Instant, cdp: &Cdp, page: String) {
        if lasting.was_ready {
            self.logs.event("chromium is back");
            lasting.lost = false;
            self.shim.report(GuestReport::BrowserBack).await;
            return;
        }
        let after_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.logs.event(&format!("chromium is ready after {after_ms} ms"));
        lasting.was_ready = true;
        if let Some(url) = self.session.spec.config.start_url.clone() {
            start_page::open_first(cdp, page, url, &self.logs).await;
        }
        self.shim.report(GuestReport::Ready { after_ms }).await;
    }

    async fn tell_lost(&self, lasting: &mut Lasting, detail: &str) {
        if lasting.was_ready && !lasting.lost {
            lasting.lost = true;
            let detail = detail.to_owned();
            self.shim.report(GuestReport::BrowserLost { detail }).await;
        }
    }

    async fn ensure_x_server(&self, lasting: &mut Lasting) -> io::Result<()> {
        if let Some(x_server) = &lasting.x_server {
            if x_server.exit.borrow().is_none() {
                return Ok(());
            }
            self.logs.event("the X server ended; restarting it");
            xserver::forget_dead(&self.session);
        }
        lasting.x_server = None;
        let viewport = self.desired_state.viewport();
        let start = xserver::start(&self.session, self.desired_state.screen(), &self.logs);
        let x_server = tokio::select! {
            started = start => started?,
            () = self.stop.cancelled() => return Err(io::ErrorKind::Interrupted.into()),
        };
        lasting.x_server = Some(x_server);
        let display = environment::display(&self.session);
        randr::set(display, viewport.width, viewport.height).await?;
        if let Err(error) = window_manager::start(environment::display(&self.session)).await {
            self.logs.event(&format!(
                "the window manager did not start; windows may be a pixel too small: {error}"
            ));
        }
        Ok(())
    }

    /// Ends what is left of a Chromium and waits until it is gone: its storage processes hold
    /// locks on the profile.
    async fn clear(&self, chromium: &mut Chromium, leaf: Option<&Leaf>) {
        let pid = chromium.child.pid;
        match leaf.map(Leaf::kill) {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(%error, "Chromium's cgroup could not be killed"),
            // All its processes are in its group, and what is in a group keeps the number taken.
            None => kill_group(pid),
        }
        let gone = async {
            chromium.child.wait().await;
            // Its children come to the guest and are reaped here, one by one.
            while remains(pid, leaf) {
                self.session.children.reaped().await;
            }
        };
        if tokio::time::timeout(CLEAR_WITHIN, gone).await.is_err() {
            tracing::warn!("Chromium ended; some of its processes were killed and are still there");
        }
    }
}

/// Whether a start failed for want of something that may be there again later.
fn no_room(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const PASSING: [Errno; 6] =
        [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::NOSPC, Errno::DQUOT];
    let launch = error.get_ref().and_then(|inner| inner.downcast_ref::<LaunchError>());
    let errno = launch.map_or_else(|| error.raw_os_error(), |launch| Some(launch.errno));
    match errno {
        Some(errno) => PASSING.iter().any(|passing| passing.raw_os_error() == errno),
        None => matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory
        ),
    }
}

/// Resolves when the pipe has been closed for so long that it is no part of an exit under way, in
/// which Chromium writes its profile out.
async fn closed_for_good(cdp: &Cdp) {
    cdp.closed().await;
    tokio::time::sleep(CLEAR_WITHIN).await;
}

/// How a Chromium ended, where it does in a moment: that explains more than what came of it, which is
/// `noticed`.
async fn end_or(gone: impl Future<Output = String>, noticed: &str) -> String {
    let gone = tokio::time::timeout(CLEAR_WITHIN, gone).await;
    gone.unwrap_or_else(|_| noticed.to_owned())
}

async fn x_gone(exit: Option<&mut watch::Receiver<Option<ExitStatus>>>) {
    match exit {
        Some(exit) => {
            let _ = exit.wait_for(Option::is_some).await;
        }
        None => std::future::pending().await,
    }
}

fn kill_group(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // Gone already is fine.
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

fn remove(leaf: Option<&Leaf>) {
    match leaf.map(Leaf::remove) {
        None | Some(Ok(true)) => {}
        other => tracing::warn!(
            ?other,
            "Chromium ended and its cgroup is still there; it goes when the session ends"
        ),
    }
}

/// Whether a process of an ended Chromium is still there.
fn remains(pid: i32, leaf: Option<&Leaf>) -> bool {
    match leaf {
        Some(leaf) => leaf.populated().unwrap_or(false),
        None => Pid::from_raw(pid)
            .is_some_and(|pid| rustix::process::test_kill_process_group(pid).is_ok()),
    }
}

fn describe(status: Option<&ExitStatus>) -> String {
    match status {
        Some(ExitStatus { signal: Some(signal), .. }) => format!("was killed by signal {signal}"),
        Some(ExitStatus { code, .. }) => format!("exited with status {code}"),
        None => "ended".to_owned(),
    }
}
