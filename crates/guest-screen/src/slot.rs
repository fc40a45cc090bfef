//! The newest frame, and those who wait for the next one.
//!
//! Takers are threads: what they do with a frame (writing megabytes into a pipe) blocks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio_util::sync::CancellationToken;

use super::Frame;

/// Holds the newest frame.
#[derive(Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    frame: Option<Arc<Frame>>,
    /// Counts frames, so that a taker knows a new one.
    serial: u64,
    /// Takers and the frames a second each wants.
    takers: BTreeMap<u64, u32>,
    next_taker: u64,
    /// Cancelled when the last taker goes.
    watched: Option<CancellationToken>,
}

impl Slot {
    /// Shows `frame` to all takers.
    pub(super) fn show(&self, frame: Frame) {
        let mut state = self.state.lock();
        if state.takers.is_empty() {
            return;
        }
        state.serial += 1;
        state.frame = Some(Arc::new(frame));
        self.changed.notify_all();
    }

    /// The shortest time between two frames that a taker wants.
    pub(super) fn period(&self) -> Duration {
        let fastest = self.state.lock().takers.values().copied().max().unwrap_or(1);
        period(fastest)
    }
}

/// The time between two frames.
pub(super) fn period(framerate: u32) -> Duration {
    Duration::from_secs(1) / framerate.max(1)
}

/// One taker's view of the screen.
pub struct Tap {
    slot: Arc<Slot>,
    taker: u64,
    framerate: u32,
    /// The frame it had last.
    seen: u64,
}

/// Ends a taker's waiting, from elsewhere.
#[derive(Clone)]
pub struct Stop {
    slot: Arc<Slot>,
    asked: CancellationToken,
}

impl Stop {
    /// Wakes the taker; all its waiting is over from now on.
    pub fn now(&self) {
        // Under the lock, so that it does not fall between a look and the wait that follows.
        let _state = self.slot.state.lock();
        self.asked.cancel();
        self.slot.changed.notify_all();
    }
}

impl Tap {
    /// Opens a tap; the first one also gets the token that is cancelled when the last one closes.
    pub(super) fn open(slot: &Arc<Slot>, framerate: u32) -> (Self, Option<CancellationToken>) {
        let mut state = slot.state.lock();
        let taker = state.next_taker;
        state.next_taker += 1;
        state.takers.insert(taker, framerate);
        let first = state.watched.is_none().then(CancellationToken::new);
        if let Some(token) = &first {
            state.watched = Some(token.clone());
        }
        drop(state);
        let slot = Arc::clone(slot);
        (Self { slot, taker, framerate, seen: 0 }, first)
    }

    /// A handle that ends this tap's waiting.
    #[must_use]
    pub fn stop(&self, asked: CancellationToken) -> Stop {
        Stop { slot: Arc::clone(&self.slot), asked }
    }

    /// The time between two frames at this tap's rate.
    #[must_use]
    pub fn period(&self) -> Duration {
        period(self.framerate)
    }

    /// Waits until `deadline` or the stop. Blocks.
    pub fn pause(&mut self, deadline: Instant, asked: &CancellationToken) {
        let mut state = self.slot.state.lock();
        while !asked.is_cancelled() {
            if self.slot.changed.wait_until(&mut state, deadline).timed_out() {
                return;
            }
        }
    }

    /// A frame that this tap has not had yet; `None` when there is none by `deadline` or the tap was
    /// stopped. Blocks.
    pub fn next(&mut self, deadline: Instant, asked: &CancellationToken) -> Option<Arc<Frame>> {
        let mut state = self.slot.state.lock();
        loop {
            if state.serial > self.seen && state.frame.is_some() {
                self.seen = state.serial;
                return state.frame.clone();
            }
            if asked.is_cancelled() {
                return None;
            }
            if self.slot.changed.wait_until(&mut state, deadline).timed_out() {
                return None;
            }
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let mut state = self.slot.state.lock();
        state.takers.remove(&self.taker);
        if state.takers.is_empty() {
            // The next taker must not be shown what was there long ago.
            state.frame = None;
            if let Some(watched) = state.watched.take() {
                watched.cancel();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: u32) -> Frame {
        Frame { width, height: 1, pixels: vec![0; width as usize * 4] }
    }

    #[test]
    fn a_tap_gets_the_newest_frame_once_and_only_what_came_while_somebody_looked() {
        let slot = Arc::new(Slot::default());
        slot.show(frame(1));
        let never = CancellationToken::new();
        let (mut tap, first) = Tap::open(&slot, 10);
        let watched = first.expect("the first one starts the source");
        assert!(tap.next(Instant::now(), &never).is_none());
        slot.show(frame(2));
        slot.show(frame(3));
        assert_eq!(tap.next(Instant::now(), &never).unwrap().width, 3);
        assert!(tap.next(Instant::now(), &never).is_none());
        let (mut late, none) = Tap::open(&slot, 30);
        assert!(none.is_none());
        assert_eq!(slot.period(), period(30));
        assert_eq!(late.next(Instant::now(), &never).unwrap().width, 3);
        drop(late);
        assert_eq!(slot.period(), period(10));
        assert!(!watched.is_cancelled());
        drop(tap);
        assert!(watched.is_cancelled());
        let (mut again, first) = Tap::open(&slot, 10);
        assert!(first.is_some() && again.next(Instant::now(), &never).is_none());
    }

    #[test]
    fn a_stop_wakes_the_waiting() {
        let slot = Arc::new(Slot::default());
        let (mut tap, _) = Tap::open(&slot, 10);
        let asked = CancellationToken::new();
        let stop = tap.stop(asked.clone());
        let waiting = std::thread::spawn(move || {
            let far = Instant::now() + Duration::from_secs(3600);
            let none = tap.next(far, &asked).is_none();
            tap.pause(far, &asked);
            none
        });
        stop.now();
        assert!(waiting.join().unwrap());
    }
}
