//! When to start Chromium again, and when to give up. Pure: no clock, no timer.

use std::time::Duration;

/// Starts in a row that may fail before the session is given up.
const FAILURES: u32 = 5;
/// A Chromium that was ready at least this long is well; the next loss starts the count anew.
const WELL_AFTER: Duration = Duration::from_secs(30);
/// Delay before the second start in a row; it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// Longest delay.
const LAST_DELAY: Duration = Duration::from_secs(5);

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
    /// Starts in a row after which Chromium never became ready.
    failures: u32,
    /// Ends in a row that came before [`WELL_AFTER`].
    short: u32,
}

impl Restarts {
    /// Takes note of an end: `ready_for` is how long Chromium was ready, if it ever was.
    pub(super) fn ended(&mut self, ready_for: Option<Duration>) -> Decision {
        match ready_for {
            Some(time) => {
                self.failures = 0;
                self.short = if time >= WELL_AFTER { 0 } else { self.short + 1 };
            }
            None => {
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
            assert_eq!(restarts.ended(Some(WELL_AFTER)), Decision::After(Duration::ZERO));
        }
    }

    #[test]
    fn gives_up_when_it_never_gets_ready() {
        let mut restarts = Restarts::default();
        let mut total = Duration::ZERO;
        for _ in 0..FAILURES {
            match restarts.ended(None) {
                Decision::After(delay) => total += delay,
                Decision::GiveUp => panic!("too early"),
            }
        }
        assert_eq!(restarts.ended(None), Decision::GiveUp);
        assert!(total < Duration::from_secs(10), "{total:?}");
    }

    #[test]
    fn one_that_gets_ready_and_ends_soon_waits_longer_and_longer_but_goes_on() {
        let mut restarts = Restarts::default();
        let mut last = Duration::ZERO;
        for _ in 0..1000 {
            match restarts.ended(Some(Duration::from_millis(5))) {
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
