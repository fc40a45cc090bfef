//! CPU percent over the last sampling window.
//!
//! ```text
//!   start        older        newer          now
//!     │ ≥ 450 ms   │  ≥ 450 ms  │  < 450 ms   │
//!                  └───────── window ─────────┘   450 to about 950 ms
//! ```
//!
//! A process younger than two samples is measured from its start.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Process;
use super::group::Groups;

/// Time between two samples of one process.
const BETWEEN: Duration = Duration::from_millis(450);
/// Samples taken before others get a turn: no request waits for many.
const BATCH: usize = 32;
/// Pause between two rounds, for few wake-ups.
const PAUSE: Duration = Duration::from_millis(20);
/// In so many rounds every process is to be sampled, however many there are: a round takes what is
/// due, of a crowd at least this part of it.
const ROUNDS: usize = (BETWEEN.as_millis() / PAUSE.as_millis()) as usize;
/// Shortest window a percentage is computed over.
const SHORTEST: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    cpu_usec: u64,
}

/// The last two samples of a process.
#[derive(Debug)]
pub(super) struct Window {
    older: Sample,
    newer: Sample,
}

impl Window {
    /// Begins at the start of a process.
    pub(super) fn new(start: Instant) -> Self {
        let sample = Sample { at: start, cpu_usec: 0 };
        Self { older: sample, newer: sample }
    }

    fn push(&mut self, at: Instant, cpu_usec: u64) {
        self.older = self.newer;
        self.newer = Sample { at, cpu_usec };
    }

    /// Percent of one core used from the beginning of the window to `now`.
    pub(super) fn percent(&self, now: Instant, cpu_usec: u64) -> f64 {
        let age = now.saturating_duration_since(self.older.at);
        // Samples may come late on a busy host; the window stays below a second if it can.
        let late = age > Duration::from_secs(1)
            && now.saturating_duration_since(self.newer.at) >= BETWEEN / 2;
        let from = if late { self.newer } else { self.older };
        let wall = now.saturating_duration_since(from.at).max(SHORTEST);
        let used = cpu_usec.saturating_sub(from.cpu_usec);
        let percent = used as f64 / wall.as_micros() as f64 * 100.0;
        (percent * 100.0).round() / 100.0
    }
}

/// Samples every live process about every [`BETWEEN`]; does nothing while there is none.
pub(super) struct Sampler {
    /// Live processes, the one sampled longest ago first.
    queue: Mutex<VecDeque<(Instant, Weak<Process>)>>,
    filled: Notify,
}

impl Sampler {
    pub(super) fn new(groups: Arc<Groups>) -> Arc<Self> {
        let sampler = Arc::new(Self { queue: Mutex::default(), filled: Notify::new() });
        tokio::spawn(Arc::clone(&sampler).run(groups));
        sampler
    }

    /// Samples `process` from now on until it exits.
    pub(super) fn add(&self, process: &Arc<Process>) {
        self.queue.lock().push_back((Instant::now(), Arc::downgrade(process)));
        self.filled.notify_one();
    }

    async fn run(self: Arc<Self>, groups: Arc<Groups>) {
        loop {
            let first = self.queue.lock().front().map(|(at, _)| *at);
            let Some(first) = first else {
                self.filled.notified().await;
                continue;
            };
            tokio::time::sleep_until((first + BETWEEN).max(Instant::now() + PAUSE)).await;
            let round = self.queue.lock().len().div_ceil(ROUNDS).max(BATCH);
            for taken in 1..=round {
                let now = Instant::now();
                let due = {
                    let mut queue = self.queue.lock();
                    let is_due = queue.front().is_some_and(|(at, _)| *at + BETWEEN <= now);
                    if is_due { queue.pop_front() } else { None }
                };
                let Some((_, process)) = due else { break };
                let Some(process) = process.upgrade() else { continue };
                if let Some(group) = &*process.group.lock() {
                    process.window.lock().push(now, groups.cpu_usec(group));
                    self.queue.lock().push_back((now, Arc::downgrade(&process)));
                }
                if taken % BATCH == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_window_is_the_last_half_to_whole_second() {
        let start = Instant::now();
        let mut window = Window::new(start);
        // Young: since the start.
        assert_eq!(window.percent(start + 100 * MS, 50_000), 50.0);
        window.push(start + 450 * MS, 450_000);
        assert_eq!(window.percent(start + 600 * MS, 600_000), 100.0);
        window.push(start + 900 * MS, 450_000);
        // Idle since the first sample.
        assert_eq!(window.percent(start + 950 * MS, 450_000), 0.0);
        // Two cores since the second.
        assert_eq!(window.percent(start + 1350 * MS, 1_350_000), 100.0);
    }

    #[test]
    fn a_late_sample_does_not_stretch_the_window() {
        let start = Instant::now();
        let mut window = Window::new(start);
        window.push(start + 5000 * MS, 5_000_000);
        assert_eq!(window.percent(start + 5300 * MS, 5_000_000), 0.0);
    }

    #[test]
    fn a_clock_or_counter_that_goes_back_is_no_panic() {
        let start = Instant::now();
        let mut window = Window::new(start + 10 * MS);
        window.push(start + 20 * MS, 500);
        window.push(start + 30 * MS, 900);
        assert_eq!(window.percent(start, 100), 0.0);
    }
}
