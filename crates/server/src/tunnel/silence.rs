//! Clients that are connected and say nothing.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use browserd_fleet::Activity;
use tokio::time::{Instant, Sleep, sleep};

/// How long a connection has been silent in both directions.
pub(super) struct Silence {
    after: Duration,
    since: Instant,
    timer: Pin<Box<Sleep>>,
    rests: bool,
}

impl Silence {
    /// A connection that has just been made; it rests after so much silence.
    pub(super) fn new(after: Duration) -> Self {
        Self { after, since: Instant::now(), timer: Box::pin(sleep(after)), rests: false }
    }

    /// Takes note of whether something was said just now. Polled again when it may be time to rest.
    pub(super) fn heed(&mut self, cx: &mut Context<'_>, spoke: bool, activity: &mut Activity) {
        if spoke {
            self.since = Instant::now();
            if std::mem::take(&mut self.rests) {
                activity.wake();
            }
        }
        // One timer, set anew when it fires and not with every byte.
        while !self.rests && self.timer.as_mut().poll(cx).is_ready() {
            let due = self.since + self.after;
            if due > Instant::now() {
                self.timer.as_mut().reset(due);
            } else {
                self.rests = true;
                activity.rest();
            }
        }
    }
}
