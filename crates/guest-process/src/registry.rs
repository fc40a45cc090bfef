//! The table of spawned processes.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use browserd_api::process::{ProcessInfo, ProcessStatus};
use browserd_api::{ErrorCode, ProcessId};
use browserd_guest_session::Session;
use browserd_rest::Error;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::budget::Budget;
use super::cpu::Sampler;
use super::group::Groups;
use super::pump::Pumps;
use super::spool::{Retention, Spool};
use super::{End, Process, exec, stdin};

/// Most processes (spawned, or running for an `exec`) at one time.
pub(super) const LIVE_LIMIT: usize = 4096;
/// Exited processes whose status is kept.
const EXITED_LIMIT: usize = 2000;

/// All processes of the session that clients started. Cheap to clone.
#[derive(Clone)]
pub struct Processes {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) session: Arc<Session>,
    pub(super) groups: Arc<Groups>,
    pub(super) sampler: Arc<Sampler>,
    pub(super) spool: Spool,
    pub(super) pumps: Pumps,
    pub(super) exec_output: Budget,
    pub(super) input: Budget,
    live: AtomicUsize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<ProcessId, Arc<Process>>,
    /// The one that exited first in front.
    exited: VecDeque<ProcessId>,
}

/// One of the [`LIVE_LIMIT`] places; given back when dropped.
pub(super) struct Place(Arc<Inner>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Processes {
    /// An empty table; output is kept below the session's state folder.
    ///
    /// # Errors
    ///
    /// When that folder cannot be made.
    pub fn new(session: Arc<Session>, retention: Retention) -> io::Result<Self> {
        let spool = Spool::new(&session.places.state.join("output"), retention)?;
        let groups = Groups::new(Arc::clone(&session));
        let inner = Inner {
            sampler: Sampler::new(Arc::clone(&groups)),
            groups,
            spool,
            pumps: Pumps::new(),
            exec_output: Budget::new(exec::OUTPUT_LIMIT),
            input: Budget::new(stdin::WAITING_LIMIT),
            live: AtomicUsize::new(0),
            table: Mutex::default(),
            session,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What starts commands as groups, for others that do.
    #[must_use]
    pub fn groups(&self) -> Arc<Groups> {
        Arc::clone(&self.inner.groups)
    }

    /// Takes one place for a process to start.
    ///
    /// # Errors
    ///
    /// 429 when all are taken.
    pub(super) fn place(&self) -> Result<Place, Error> {
        if self.inner.live.fetch_add(1, Ordering::Relaxed) < LIVE_LIMIT {
            return Ok(Place(Arc::clone(&self.inner)));
        }
        self.inner.live.fetch_sub(1, Ordering::Relaxed);
        Err(Error::new(
            ErrorCode::TooManyRequests,
            format!(
                "{LIVE_LIMIT} processes started through this API are running; end some and try again"
            ),
        ))
    }

    pub(super) fn insert(&self, process: Arc<Process>) {
        self.inner.sampler.add(&process);
        self.inner.table.lock().by_id.insert(process.id, process);
    }

    /// Notes that a process has exited; the records of the first to exit make room.
    pub(super) fn note_exit(&self, id: ProcessId) {
        let mut forgotten = Vec::new();
        let mut table = self.inner.table.lock();
        table.exited.push_back(id);
        while table.exited.len() > EXITED_LIMIT {
            let Some(oldest) = table.exited.pop_front() else { break };
            forgotten.extend(table.by_id.remove(&oldest));
        }
        drop(table);
        // Their output goes with them, outside the lock.
        drop(forgotten);
    }

    /// The process with this id.
    ///
    /// # Errors
    ///
    /// 404 `process_not_found`.
    pub(super) fn find(&self, id: ProcessId) -> Result<Arc<Process>, Error> {
        self.inner.table.lock().by_id.get(&id).cloned().ok_or_else(|| {
            Error::new(
                ErrorCode::ProcessNotFound,
                format!("this session has no process {id}; GET …/process lists them"),
            )
        })
    }

    /// What a process does right now.
    pub(super) fn status(&self, process: &Process) -> ProcessStatus {
        let state = process.state();
        if let Some(End { exit_code, .. }) = process.ending.now() {
            let exit_code = Some(exit_code);
            return ProcessStatus { state, exit_code, cpu_pct: 0.0, mem_bytes: 0 };
        }
        let group = process.group.lock();
        let used = group.as_ref().map(|group| self.inner.groups.usage(group)).unwrap_or_default();
        let cpu_pct = process.window.lock().percent(Instant::now(), used.cpu_usec);
        ProcessStatus { state, exit_code: None, cpu_pct, mem_bytes: used.resident_bytes }
    }

    /// All known processes, the first to start in front.
    pub(super) fn list(&self) -> Vec<ProcessInfo> {
        let mut all: Vec<Arc<Process>> = self.inner.table.lock().by_id.values().cloned().collect();
        all.sort_by_key(|process| (process.started_at, process.id));
        all.iter().map(|process| self.info(process)).collect()
    }

    /// Kills everything clients started, also what lives on after its command; for the guest's end.
    pub fn kill_all(&self) {
        let all: Vec<Arc<Process>> = self.inner.table.lock().by_id.values().cloned().collect();
        for process in all {
            if let Some(group) = &*process.group.lock() {
                Groups::kill(group, process.pid);
            }
        }
        self.inner.groups.kill_lingering();
    }

    fn info(&self, process: &Process) -> ProcessInfo {
        ProcessInfo {
            process_id: process.id,
            pid: process.pid,
            command: process.command.clone(),
            args: process.args.clone(),
            started_at: process.started_at,
            exited_at: process.ending.now().map(|end| end.at),
            tty: process.tty,
            status: self.status(process),
        }
    }
}
