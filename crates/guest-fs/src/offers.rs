//! Files whose sending is left to `serve`, which takes them over the descriptor-passing socket.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// Files on offer at once.
const MOST: usize = 64;
/// How long an offer holds, far more than `serve` takes.
const HOLDS_FOR: Duration = Duration::from_secs(10);

/// Files on offer. Cheap to clone.
#[derive(Clone, Default)]
pub struct Offers(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    last_ticket: u64,
    open: HashMap<u64, Arc<File>>,
}

impl Offers {
    /// Offers `file`, and answers with what it can be asked for by. `None` when it is better sent
    /// by oneself: it is of a kind `serve` does not read, or `serve` does not take what was offered.
    pub(super) fn offer(&self, file: &Arc<File>) -> Option<u64> {
        if !browserd_sandbox::is_plain(file).unwrap_or(false) {
            return None;
        }
        let mut state = self.0.lock();
        if state.open.len() >= MOST {
            return None;
        }
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        state.open.insert(ticket, Arc::clone(file));
        drop(state);
        let offers = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(HOLDS_FOR).await;
            offers.take(ticket);
        });
        Some(ticket)
    }

    /// The file of an offer, which is over with that.
    pub fn take(&self, ticket: u64) -> Option<Arc<File>> {
        self.0.lock().open.remove(&ticket)
    }
}
