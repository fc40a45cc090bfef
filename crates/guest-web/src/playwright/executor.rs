//! One executor: its turn, its worker, its tab.

use std::sync::atomic::{AtomicUsize, Ordering};

use browserd_api::playwright::DEFAULT_EXECUTOR;
use browserd_api::{ErrorCode, Timestamp};
use browserd_rest::Error;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::runner::Worker;

/// Most scripts that wait for one executor.
const WAITING_LIMIT: usize = 32;

pub(super) struct Executor {
    pub(super) name: String,
    pub(super) created_at: Timestamp,
    turn: Semaphore,
    waiting: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    /// The worker while no script runs; a running script has it.
    worker: Option<Worker>,
    last_used_at: Timestamp,
    target: Option<String>,
    /// Cancelled by a delete, for the scripts asked for before it.
    interrupt: CancellationToken,
}

impl Executor {
    pub(super) fn new(name: String) -> Self {
        let now = Timestamp::now();
        Self {
            name,
            created_at: now,
            turn: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
            state: Mutex::new(State {
                worker: None,
                last_used_at: now,
                target: None,
                interrupt: CancellationToken::new(),
            }),
        }
    }

    pub(super) fn is_default(&self) -> bool {
        self.name == DEFAULT_EXECUTOR
    }

    /// Waits until no other script runs. Whoever has the turn may take the worker.
    ///
    /// # Errors
    ///
    /// 429 when too many wait already.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_LIMIT {
            return Err(Error::new(
                ErrorCode::TooManyRequests,
                format!(
                    "{WAITING_LIMIT} scripts wait for the executor {} already; try again, or use \
                     another executor",
                    self.name
                ),
            ));
        }
        let turn = self.turn.acquire().await.map_err(Error::internal)?;
        drop(waiting);
        Ok(turn)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.turn.available_permits() == 0
    }

    /// Takes the worker, if there is one that lives.
    pub(super) fn take_worker(&self) -> Option<Worker> {
        self.state.lock().worker.take().filter(|worker| !worker.has_ended())
    }

    /// Keeps the worker for the next script.
    pub(super) fn keep_worker(&self, worker: Worker) {
        self.state.lock().worker = Some(worker);
    }

    /// What ends scripts that are asked for now when the executor is deleted.
    pub(super) fn interrupt(&self) -> CancellationToken {
        self.state.lock().interrupt.clone()
    }

    /// Ends the scripts that run or wait.
    pub(super) fn cancel(&self) {
        std::mem::take(&mut self.state.lock().interrupt).cancel();
    }

    pub(super) fn used(&self) {
        self.state.lock().last_used_at = Timestamp::now();
    }

    pub(super) fn last_used_at(&self) -> Timestamp {
        self.state.lock().last_used_at
    }

    pub(super) fn target(&self) -> Option<String> {
        self.state.lock().target.clone()
    }

    pub(super) fn set_target(&self, target: String) {
        self.state.lock().target = Some(target);
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
