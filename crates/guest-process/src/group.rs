//! A command and everything it starts, as one thing to account for and to kill.
//!
//! ```text
//!  with a cgroup     one leaf a command: nothing leaves it, not even by a double fork
//!  without           one supervisor a command: what the command leaves behind becomes its child
//! ```

use std::sync::Arc;
use std::time::Duration;

use browserd_guest_session::{Child, Session, TreeRoot, procfs};
use browserd_sandbox::child::{Launch, LaunchError, Stage};
use browserd_sandbox::leaf::Leaf;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal};
use tokio::sync::Notify;

/// Rounds of killing a tree whose processes may fork meanwhile.
const KILL_ROUNDS: usize = 64;

/// What holds a command and its descendants together.
#[derive(Debug)]
pub enum Group {
    /// A leaf cgroup.
    Leaf(Leaf),
    /// The tree under a supervisor.
    Tree {
        /// The supervisor.
        root: TreeRoot,
        /// When it started, clock ticks: tells it from a later process with its number.
        start: u64,
    },
}

/// CPU time and memory of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) cpu_usec: u64,
    pub(super) resident_bytes: u64,
}

/// Starts groups and clears away the empty ones.
pub struct Groups {
    session: Arc<Session>,
    names: Mutex<u64>,
    /// Leaves whose command has exited while something in them lives on.
    lingering: Mutex<Vec<Leaf>>,
    has_lingering: Notify,
    page_size: u64,
    usec_per_tick: u64,
}

impl Groups {
    pub(super) fn new(session: Arc<Session>) -> Arc<Self> {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let groups = Arc::new(Self {
            session,
            names: Mutex::new(0),
            lingering: Mutex::default(),
            has_lingering: Notify::new(),
            page_size: rustix::param::page_size() as u64,
            usec_per_tick: 1_000_000 / ticks,
        });
        tokio::spawn(Arc::clone(&groups).sweep());
        groups
    }

    /// Starts a command in a group of its own.
    ///
    /// # Errors
    ///
    /// [`LaunchError`]; nothing is left then.
    pub fn start(&self, launch: &mut Launch) -> Result<(Child, Group), LaunchError> {
        let Some(leaves) = &self.session.leaves else {
            let child = self.session.children.start_supervised(launch)?;
            let root = child.tree.clone().ok_or_else(|| refused(&std::io::Error::other("")))?;
            let start = procfs::stat(root.supervisor).map_or(0, |stat| stat.start);
            return Ok((child, Group::Tree { root, start }));
        };
        let name = {
            let mut next = self.names.lock();
            *next += 1;
            format!("p{next}")
        };
        let leaf = leaves.create(&name).map_err(|e| refused(&e))?;
        let started = leaf.dir().try_clone_to_owned().map_err(|e| refused(&e)).and_then(|dir| {
            launch.cgroup = Some(dir);
            self.session.children.start(launch)
        });
        match started {
            Ok(child) => Ok((child, Group::Leaf(leaf))),
            Err(error) => {
                self.discard(Group::Leaf(leaf));
                Err(error)
            }
        }
    }

    /// CPU time the group has used so far, microseconds.
    pub(super) fn cpu_usec(&self, group: &Group) -> u64 {
        match group {
            Group::Leaf(leaf) => leaf.cpu_usec().unwrap_or(0),
            Group::Tree { .. } => self.tree_use(group).cpu_usec,
        }
    }

    /// What the group uses.
    pub(super) fn usage(&self, group: &Group) -> Use {
        match group {
            Group::Leaf(leaf) => Use {
                cpu_usec: leaf.cpu_usec().unwrap_or(0),
                resident_bytes: self.resident(&leaf.procs().unwrap_or_default()),
            },
            Group::Tree { .. } => self.tree_use(group),
        }
    }

    fn resident(&self, pids: &[i32]) -> u64 {
        pids.iter().map(|pid| procfs::resident_bytes(*pid, self.page_size)).sum()
    }

    fn tree_use(&self, group: &Group) -> Use {
        let Some(supervisor) = group.supervisor() else { return Use::default() };
        let pids = procfs::descendants(supervisor);
        // The supervisor counts too: the time of what it has reaped is on its account.
        let all = std::iter::once(&supervisor).chain(&pids);
        let ticks = all.filter_map(|pid| procfs::stat(*pid));
        let ticks = ticks.fold(0u64, |sum, stat| sum.saturating_add(stat.ticks));
        Use {
            cpu_usec: ticks.saturating_mul(self.usec_per_tick),
            resident_bytes: self.resident(&pids),
        }
    }

    /// Kills everything in the group. `pid` is the command, which may not have been reaped yet.
    pub fn kill(group: &Group, pid: i32) {
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
        match group {
            Group::Leaf(leaf) => {
                if let Err(error) = leaf.kill() {
                    tracing::warn!(%error, "a command's cgroup could not be killed; some of its processes may go on");
                }
            }
            Group::Tree { .. } => {
                let Some(supervisor) = group.supervisor() else { return };
                for _ in 0..KILL_ROUNDS {
                    let pids = procfs::descendants(supervisor);
                    let mut alive = false;
                    for pid in pids.into_iter().filter_map(Pid::from_raw) {
                        alive |= rustix::process::kill_process(pid, Signal::KILL).is_ok();
                    }
                    if !alive {
                        return;
                    }
                }
            }
        }
    }

    /// Lets go of a group whose command has exited: an empty leaf is removed now, any other as soon
    /// as the last process in it has ended.
    pub fn discard(&self, group: Group) {
        let Group::Leaf(leaf) = group else { return };
        match leaf.remove() {
            Ok(true) => {}
            Ok(false) => {
                self.lingering.lock().push(leaf);
                self.has_lingering.notify_one();
            }
            Err(error) => {
                tracing::warn!(%error, "a command's cgroup could not be removed; it goes with the session");
            }
        }
    }

    /// Kills what lives on in leaves whose command has exited.
    pub(super) fn kill_lingering(&self) {
        for leaf in &*self.lingering.lock() {
            let _ = leaf.kill();
        }
    }

    /// Removes lingering leaves. The last process to die in a leaf is always one this guest reaps:
    /// its parent, had it one in the leaf, would be alive.
    async fn sweep(self: Arc<Self>) {
        loop {
            let reaped = self.session.children.reaped();
            tokio::pin!(reaped);
            reaped.as_mut().enable();
            self.lingering.lock().retain(|leaf| matches!(leaf.remove(), Ok(false)));
            if self.lingering.lock().is_empty() {
                self.has_lingering.notified().await;
            } else {
                let _ = tokio::time::timeout(SWEEP_ANYWAY, reaped).await;
                // Many orphans at once are one sweep.
                tokio::time::sleep(SWEEP_GAP).await;
            }
        }
    }
}

const SWEEP_GAP: Duration = Duration::from_millis(50);
/// A kernel may let go of a leaf a moment after its last process was reaped.
const SWEEP_ANYWAY: Duration = Duration::from_secs(2);

fn refused(error: &std::io::Error) -> LaunchError {
    LaunchError { stage: Stage::Clone, errno: error.raw_os_error().unwrap_or(0) }
}

impl Group {
    /// The supervisor's pid while it surely is the supervisor's.
    fn supervisor(&self) -> Option<i32> {
        let Self::Tree { root, start } = self else { return None };
        let alive = !*root.empty.borrow();
        let same = || procfs::stat(root.supervisor).is_some_and(|stat| stat.start == *start);
        (alive && same()).then_some(root.supervisor)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;

    #[test]
    fn a_later_process_with_the_number_is_not_the_supervisor() {
        let me = std::process::id() as i32;
        let (empty, seen) = watch::channel(false);
        let root = TreeRoot { supervisor: me, empty: seen };
        let start = procfs::stat(me).unwrap().start;
        let same = Group::Tree { root: root.clone(), start };
        assert_eq!(same.supervisor(), Some(me));
        let later = Group::Tree { root: root.clone(), start: start - 1 };
        assert_eq!(later.supervisor(), None);
        empty.send_replace(true);
        assert_eq!(same.supervisor(), None);
    }
}
