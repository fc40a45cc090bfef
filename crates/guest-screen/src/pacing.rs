//! How fast Chromium may send pictures of a page.
//!
//! Chromium has few pictures under way at a time and drops what comes meanwhile, so the pace of our
//! acknowledgements is the pace of its pictures. What it dropped may have been the last change for a
//! long time: after a spell in which pictures came too fast, one more is asked for. It drops pictures
//! around a change of the page's size too, so one more is asked for then as well.
//!
//! ```text
//!  picture, none owed, a period since the last acknowledgement ─▶ acknowledge now
//!  another size ─▶ quiet ─▶ settle
//!  picture otherwise ─▶ owed; one acknowledgement a period ─▶ none owed, quiet ─▶ settle
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How long no picture must come before what shows is taken for settled.
const QUIET: Duration = Duration::from_millis(250);
/// Acknowledgements owed at most; Chromium has two or three pictures under way.
const OWED_LIMIT: usize = 16;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Acknowledge this picture.
    Acknowledge(i64),
    /// Ask for a picture of what shows now.
    Settle,
}

#[derive(Debug, Default)]
pub(super) struct Pacing {
    owed: VecDeque<i64>,
    acknowledged: Option<Instant>,
    /// Something may have been dropped since the picture at this time.
    behind_since: Option<Instant>,
    /// The page was given another size.
    resized: Option<Instant>,
}

impl Pacing {
    /// A picture came; answers whether to acknowledge it at once.
    pub(super) fn came(&mut self, picture: i64, now: Instant, period: Duration) -> bool {
        let early = self.acknowledged.is_some_and(|at| now < at + period);
        if !early && self.owed.is_empty() {
            self.acknowledged = Some(now);
            // It shows whatever was dropped before it, unless it was on its way before that.
            let unsettled = self.resized.is_some_and(|at| now < at + QUIET);
            self.behind_since = unsettled.then_some(now);
            return true;
        }
        if self.owed.len() < OWED_LIMIT {
            self.owed.push_back(picture);
        }
        self.behind_since = Some(now);
        false
    }

    /// The page has another size.
    pub(super) fn resized(&mut self, now: Instant) {
        self.resized = Some(now);
        self.behind_since = Some(now);
    }

    /// When something is due next.
    pub(super) fn next(&self, period: Duration) -> Option<Instant> {
        if !self.owed.is_empty() {
            return self.acknowledged.map(|at| at + period);
        }
        let last = self.behind_since?.max(self.acknowledged?);
        Some(last + QUIET)
    }

    /// What is due at `now`.
    pub(super) fn due(&mut self, now: Instant, period: Duration) -> Option<Due> {
        if self.next(period)? > now {
            return None;
        }
        if let Some(picture) = self.owed.pop_front() {
            self.acknowledged = Some(now);
            return Some(Due::Acknowledge(picture));
        }
        self.behind_since = None;
        Some(Due::Settle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_millis(100);

    #[test]
    fn slow_pictures_are_acknowledged_at_once_and_nothing_follows() {
        let (mut pacing, start) = (Pacing::default(), Instant::now());
        for n in 0..5u32 {
            assert!(pacing.came(i64::from(n), start + PERIOD * n, PERIOD));
            assert_eq!(pacing.next(PERIOD), None);
        }
    }

    #[test]
    fn another_size_ends_with_a_settled_picture_whatever_came_around_it() {
        let (mut pacing, start) = (Pacing::default(), Instant::now());
        assert!(pacing.came(1, start, PERIOD));
        let changed = start + PERIOD * 9;
        pacing.resized(changed);
        assert_eq!(pacing.next(PERIOD), Some(changed + QUIET));
        assert!(pacing.came(2, changed + QUIET / 2, PERIOD));
        let quiet = changed + QUIET / 2 + QUIET;
        assert_eq!(pacing.next(PERIOD), Some(quiet));
        assert_eq!(pacing.due(quiet, PERIOD), Some(Due::Settle));
        assert!(pacing.came(3, quiet + PERIOD, PERIOD));
        assert_eq!(pacing.next(PERIOD), None);
    }

    #[test]
    fn fast_pictures_come_one_a_period_and_end_with_a_settled_one() {
        let (mut pacing, start) = (Pacing::default(), Instant::now());
        assert!(pacing.came(1, start, PERIOD));
        assert!(!pacing.came(2, start + PERIOD / 10, PERIOD));
        assert!(!pacing.came(3, start + PERIOD / 5, PERIOD));
        assert_eq!(pacing.due(start + PERIOD / 2, PERIOD), None);
        assert_eq!(pacing.due(start + PERIOD, PERIOD), Some(Due::Acknowledge(2)));
        assert_eq!(pacing.due(start + PERIOD, PERIOD), None);
        assert_eq!(pacing.due(start + PERIOD * 2, PERIOD), Some(Due::Acknowledge(3)));
        let quiet = pacing.next(PERIOD).unwrap();
        assert_eq!(quiet, start + PERIOD * 2 + QUIET);
        assert_eq!(pacing.due(quiet, PERIOD), Some(Due::Settle));
        assert_eq!(pacing.next(PERIOD), None);
    }
}
