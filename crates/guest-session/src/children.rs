//! The one table of children, and the one reaper.
//!
//! ```text
//!  start ──▶ [table: pid → watch] ◀── SIGCHLD: wait4 until nothing more has ended
//!                                        known pid: publish its status
//!                                        any other: an orphan, reaped and not reported
//! ```

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use browserd_sandbox::child::{
    self, Launch, LaunchError, Supervised, SupervisorMemory, SupervisorReport,
};
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, watch};

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitStatus {
    /// Its exit status, or 128+n when signal n ended it.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl ExitStatus {
    fn from_wait(wait_status: i32) -> Self {
        match wait_status & 0x7f {
            0 => Self { code: (wait_status >> 8) & 0xff, signal: None },
            signal => Self { code: 128 + signal, signal: Some(signal) },
        }
    }
}

/// A started process. Dropping it neither kills nor forgets the process.
#[derive(Debug)]
pub struct Child {
    /// Its pid, process group and session.
    pub pid: i32,
    /// Its end; `None` while it runs.
    pub exit: watch::Receiver<Option<ExitStatus>>,
    /// The supervisor that holds its tree, when it was started under one.
    pub tree: Option<TreeRoot>,
}

/// The root of a supervised tree.
#[derive(Debug, Clone)]
pub struct TreeRoot {
    /// Pid of the supervisor; valid while `empty` is false.
    pub supervisor: i32,
    /// True once nothing of the tree is left.
    pub empty: watch::Receiver<bool>,
}

impl Child {
    /// Waits for its end.
    pub async fn wait(&mut self) -> ExitStatus {
        match self.exit.wait_for(Option::is_some).await {
            Ok(status) => (*status).unwrap_or(LOST),
            Err(_) => LOST,
        }
    }
}

/// The status of a child whose end could not be learned.
const LOST: ExitStatus = ExitStatus { code: 255, signal: None };

type Exit = Arc<watch::Sender<Option<ExitStatus>>>;

enum Entry {
    Child(Exit),
    Supervisor { _memory: SupervisorMemory, empty: watch::Sender<bool> },
}

/// All children of the guest. Cheap to clone.
#[derive(Clone)]
pub struct Children {
    inner: Arc<Inner>,
}

struct Inner {
    table: Mutex<HashMap<i32, Entry>>,
    reaped: Notify,
}

impl Children {
    /// Starts the reaper on the current runtime. There must be one `Children` a process.
    ///
    /// # Errors
    ///
    /// When the signal cannot be watched or orphans cannot be adopted.
    pub fn new() -> io::Result<Self> {
        if std::process::id() != 1 {
            // Not the first of a pid namespace (tests): orphans must come here all the same.
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        }
        let mut ended = signal(SignalKind::child())?;
        let inner = Arc::new(Inner { table: Mutex::default(), reaped: Notify::new() });
        let reaper = Arc::clone(&inner);
        tokio::spawn(async move {
            loop {
                reaper.reap();
                if ended.recv().await.is_none() {
                    return;
                }
            }
        });
        Ok(Self { inner })
    }

    /// Starts a process. Blocks for about as long as `posix_spawn`.
    ///
    /// # Errors
    ///
    /// [`LaunchError`] with the step that failed; nothing is left then.
    pub fn start(&self, launch: &Launch) -> Result<Child, LaunchError> {
        // Held across the start, so that the child is known before it can be reaped.
        let mut table = self.inner.table.lock();
        let pid = child::start(launch)?;
        let (sender, exit) = watch::channel(None);
        table.insert(pid, Entry::Child(Arc::new(sender)));
        Ok(Child { pid, exit, tree: None })
    }

    /// Starts a process under a supervisor, which keeps what it leaves behind in one tree.
    ///
    /// # Errors
    ///
    /// [`LaunchError`] with the step that failed; nothing is left then.
    pub fn start_supervised(&self, launch: &Launch) -> Result<Child, LaunchError> {
        let mut table = self.inner.table.lock();
        let Supervised { pid, supervisor, reports, memory } = child::start_supervised(launch)?;
        let (sender, exit) = watch::channel(None);
        let sender = Arc::new(sender);
        let (empty_sender, empty) = watch::channel(false);
        table.insert(supervisor, Entry::Supervisor { _memory: memory, empty: empty_sender });
        // Also under its own pid: should the supervisor be killed, the command comes to the guest.
        table.insert(pid, Entry::Child(Arc::clone(&sender)));
        drop(table);
        tokio::spawn(follow(Arc::clone(&self.inner), pid, reports, sender));
        Ok(Child { pid, exit, tree: Some(TreeRoot { supervisor, empty }) })
    }

    /// Kills a process started by [`Self::start`], as [`Self::signal`] does.
    pub fn kill(&self, child: &Child) {
        self.signal(child, rustix::process::Signal::KILL);
    }

    /// Signals a process started by [`Self::start`]; one that has ended already is left in peace,
    /// and so is whoever may have its pid by now.
    pub fn signal(&self, child: &Child, signal: rustix::process::Signal) {
        let table = self.inner.table.lock();
        let Some(Entry::Child(exit)) = table.get(&child.pid) else { return };
        // Pids of known children become free under this lock only.
        if exit.subscribe().same_channel(&child.exit)
            && let Some(pid) = rustix::process::Pid::from_raw(child.pid)
        {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Pids of the supervisors, which live in the guest's own memory.
    #[must_use]
    pub fn supervisors(&self) -> HashSet<i32> {
        let table = self.inner.table.lock();
        let supervisors = table.iter().filter(|(_, e)| matches!(e, Entry::Supervisor { .. }));
        supervisors.map(|(pid, _)| *pid).collect()
    }

    /// Resolves the next time some process, child or orphan, has been reaped.
    pub fn reaped(&self) -> Notified<'_> {
        self.inner.reaped.notified()
    }

    /// Sends SIGKILL to every known child's process group; for the guest's own end.
    pub fn kill_all(&self) {
        for pid in
            self.inner.table.lock().keys().filter_map(|pid| rustix::process::Pid::from_raw(*pid))
        {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

impl Inner {
    fn reap(&self) {
        let mut any = false;
        loop {
            let (reaped, entry) = {
                let mut table = self.table.lock();
                let Some(reaped) = child::reap_any() else { break };
                (reaped, table.remove(&reaped.pid))
            };
            any = true;
            match entry {
                Some(Entry::Child(exit)) => {
                    exit.send_replace(Some(ExitStatus::from_wait(reaped.wait_status)));
                }
                Some(Entry::Supervisor { empty, .. }) => {
                    empty.send_replace(true);
                }
                None => {}
            }
        }
        if any {
            self.reaped.notify_waiters();
        }
    }
}

/// Reads a supervisor's reports until its tree is empty.
async fn follow(inner: Arc<Inner>, pid: i32, reports: OwnedFd, exit: Exit) {
    let Ok(mut reports) = pipe::Receiver::from_owned_fd(reports) else { return };
    let mut message = [0; SupervisorReport::SIZE];
    // Messages are shorter than PIPE_BUF, so each arrives whole.
    while reports.read_exact(&mut message).await.is_ok() {
        let Some(SupervisorReport { wait_status }) = SupervisorReport::parse(&message) else {
            continue;
        };
        let mut table = inner.table.lock();
        // The number may have been given to a later child by now.
        if matches!(table.get(&pid), Some(Entry::Child(known)) if Arc::ptr_eq(known, &exit)) {
            table.remove(&pid);
        }
        drop(table);
        exit.send_replace(Some(ExitStatus::from_wait(wait_status)));
    }
}
