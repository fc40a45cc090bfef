//! When to start Chromium again, and when to give up. Pure: no clock, no timer.
//!
//! ```text
//!                      before it was ever ready      once it was
//!   cannot be started  give up                       counted
//!   ended, not ready   counted                       counted
//!   no room to start   counted                       wait, not counted: room comes back
//!   ended, was ready   ─                             the count starts anew
//! ```

use std::time::Duration;

/// Starts in a row that may fail before the session is given up.
const FAILURES: u32 = 5;
/// A Chromium that was ready at least this long is well; the next loss starts the count anew.
const WELL_AFTER: Duration = Duration::from_secs(30);
/// Delay before the second start in a row; it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest delay.
const LAST_DELAY: Duration = Duration::from_secs(5);

/// How one life of Chromium went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It was ready for so long.
    Ready(Duration),
    /// It, or its X server, was started and did not get ready.
    NeverReady,
    /// It could not be started for want of processes, memory, descriptors or disk.
    NoRoom,
    /// It cannot be started: the program is not there, or no program.
    CannotStart,
}

/// What to do about a Chromium that ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Start it again after this long.
    After(Duration),
    /// The session cannot go on.
    GiveUp,
}

/// How the last starts went.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    was_ready: bool,
    /// Starts in a row after which Chromium never became ready.
    failures: u32,
    /// Ends in a row that came before [`WELL_AFTER`].
    short: u32,
}

impl Restarts {
    /// Takes note of an end.
    pub(super) fn ended(&mut self, life: Life) -> Decision {
        match life {
            Life::NoRoom if self.was_ready => return Decision::After(LAST_DELAY),
            Life::CannotStart if !self.was_ready => return Decision::GiveUp,
            Life::Ready(time) => {
                self.was_ready = true;
                self.failures = 0;
                self.short = if time >= WELL_AFTER { 0 } else { self.short + 1 };
            }
            Life::NeverReady | Life::NoRoom | Life::CannotStart => {
                self.failures += 1;
                self.short += 1;
            }
        }
        if self.failures > FAILURES {
            return Decision::GiveUp;
        }
        match self.short {
            // The first loss costs a client as little as can be.
            0 | 1 => Decision::After(Duration::ZERO),
            n => Decision::After((FIRST_DELAY * 2u32.pow((n - 2).min(10))).min(LAST_DELAY)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_well_browser_restarts_at_once_every_time() {
        let mut restarts = Restarts::default();
        for _ in 0..100 {
            let life = Life::Ready(WELL_AFTER);
            assert_eq!(restarts.ended(life), Decision::After(Duration::ZERO));
        }
    }

    #[test]
    fn gives_up_when_it_never_gets_ready() {
        for life in [Life::NeverReady, Life::NoRoom] {
            let mut restarts = Restarts::default();
            let mut total = Duration::ZERO;
            for _ in 0..FAILURES {
                match restarts.ended(life) {
                    Decision::After(delay) => total += delay,
                    Decision::GiveUp => panic!("too early"),
                }
            }
            assert_eq!(restarts.ended(life), Decision::GiveUp);
            assert!(total < Duration::from_secs(10), "{total:?}");
        }
    }

    #[test]
    fn a_program_that_cannot_be_started_is_tried_once() {
        assert_eq!(Restarts::default().ended(Life::CannotStart), Decision::GiveUp);
        // It ran once, so something inside may be mending it.
        let mut restarts = Restarts::default();
        restarts.ended(Life::Ready(WELL_AFTER));
        for _ in 0..FAILURES {
            assert!(matches!(restarts.ended(Life::CannotStart), Decision::After(_)));
        }
        assert_eq!(restarts.ended(Life::CannotStart), Decision::GiveUp);
    }

    #[test]
    fn a_browser_that_was_ready_outlasts_any_shortage() {
        let mut restarts = Restarts::default();
        restarts.ended(Life::Ready(WELL_AFTER));
        for _ in 0..1000 {
            assert_eq!(restarts.ended(Life::NoRoom), Decision::After(LAST_DELAY));
        }
        // And has all its tries left.
        for _ in 0..FAILURES {
            assert!(matches!(restarts.ended(Life::NeverReady), Decision::After(_)));
        }
        assert_eq!(restarts.ended(Life::NeverReady), Decision::GiveUp);
    }

    #[test]
    fn one_that_gets_ready_and_ends_soon_waits_longer_and_longer_but_goes_on() {
        let mut restarts = Restarts::default();
        let mut last = Duration::ZERO;
        for _ in 0..1000 {
            match restarts.ended(Life::Ready(Duration::from_millis(5))) {
                Decision::After(delay) => {
                    assert!(delay >= last && delay <= LAST_DELAY);
                    last = delay;
                }
                Decision::GiveUp => panic!("gave up"),
            }
        }
        assert_eq!(last, LAST_DELAY);
    }
}
