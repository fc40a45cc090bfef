//! The REPL: JavaScript cells in one Node runtime whose bindings live from cell to cell.
//!
//! Owns the runtime's process and the limits of what cells show. The language (top-level await,
//! redeclaration) is the runner's business.
//!
//! ```text
//!  cell ─▶ turn ─▶ runtime (started if there is none) ─▶ items … ─▶ answer
//!                     ▲    └── timeout, exit, uncaught, client gone ─▶ killed
//!                     └─────────────── the next cell: a new repl_id ────┘
//! ```

mod cell;
mod evaluate;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod routes;
mod shown;

use std::sync::Arc;

use browserd_guest_browser::Browser;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::runner::{Kit, Worker};

pub use routes::routes;

/// The session's REPL. Cheap to clone.
#[derive(Clone)]
pub struct Repl {
    inner: Arc<Inner>,
}

struct Inner {
    kit: Kit,
    browser: Browser,
    turn: Semaphore,
    waiting: Arc<Semaphore>,
    /// The runtime while no cell runs; a running cell has it.
    runtime: Mutex<Option<Runtime>>,
}

/// A runtime and its id.
struct Runtime {
    id: String,
    worker: Worker,
}

/// Most cells that wait for their turn, with the one that has it.
const WAITING_LIMIT: usize = 33;

impl Repl {
    /// Starts nothing yet.
    pub fn new(kit: Kit, browser: Browser) -> Self {
        let (turn, waiting) = (Semaphore::new(1), Arc::new(Semaphore::new(WAITING_LIMIT)));
        let runtime = Mutex::new(None);
        Self { inner: Arc::new(Inner { kit, browser, turn, waiting, runtime }) }
    }
}
