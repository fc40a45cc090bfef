//! Refusals in the log: enough to see what happened, not enough to fill a disk.

use parking_lot::Mutex;
use tokio::time::{Duration, Instant};
use tracing::{debug, info};

use crate::refusal::Refusal;

/// Lines that may come at once.
const BURST: u32 = 20;

/// One more line is allowed every so often.
const EVERY: Duration = Duration::from_secs(1);

/// A token bucket over the log lines of one gateway.
#[derive(Debug)]
pub(crate) struct RefusalLog {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tokens: u32,
    refilled: Instant,
    left_out: u64,
}

impl RefusalLog {
    pub(crate) fn new() -> Self {
        let state = State { tokens: BURST, refilled: Instant::now(), left_out: 0 };
        Self { state: Mutex::new(state) }
    }

    /// Logs a refusal. Host and port only: paths and queries are the session's own business.
    pub(crate) fn note(&self, refusal: &Refusal) {
        let code = refusal.code();
        let dest = refusal.destination().map(ToString::to_string).unwrap_or_default();
        if let Refusal::BrowserService(_) = refusal {
            // Every browser asks, all the time.
            debug!(code, dest, "the egress gateway refused a request");
            return;
        }
        match self.state.lock().take(Instant::now()) {
            Some(left_out) => info!(code, dest, left_out, "the egress gateway refused a request"),
            None => debug!(code, dest, "the egress gateway refused a request"),
        }
    }
}

impl State {
    /// Takes a token; answers how many lines were left out before this one.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let earned = now.duration_since(self.refilled).as_millis() / EVERY.as_millis();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        if earned > 0 {
            self.refilled = now;
            self.tokens = self.tokens.saturating_add(earned).min(BURST);
        }
        let Some(left) = self.tokens.checked_sub(1) else {
            self.left_out += 1;
            return None;
        };
        self.tokens = left;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_counted() {
        let start = Instant::now();
        let mut state = State { tokens: 2, refilled: start, left_out: 0 };
        let said: Vec<_> = (0..5).map(|_| state.take(start)).collect();
        assert_eq!(said, [Some(0), Some(0), None, None, None]);
        assert_eq!(state.take(start + EVERY), Some(3));
        assert_eq!(state.take(start + EVERY), None);
    }
}
