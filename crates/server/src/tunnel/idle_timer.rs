//! Clients that are connected and send nothing.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use browserd_fleet::Activity;
use tokio::time::{Instant, Sleep, sleep};

/// How long a connection has carried nothing in either direction.
pub(super) struct IdleTimer {
    after: Duration,
    since: Instant,
    timer: Pin<Box<Sleep>>,
    idle: bool,
}

impl IdleTimer {
    /// For a connection that has just been made and is idle after that time.
    pub(super) fn new(after: Duration) -> Self {
        Self { after, since: Instant::now(), timer: Box::pin(sleep(after)), idle: false }
    }

    /// Takes note of whether something was carried just now; an idle connection is no use of its session.
    /// Wakes the task when the connection may have become idle.
    pub(super) fn update(&mut self, cx: &mut Context<'_>, carried: bool, activity: &mut Activity) {
        if carried {
            self.since = Instant::now();
            if std::mem::take(&mut self.idle) {
                activity.wake();
            }
        }
        // One timer, set anew when it fires and not with every byte.
        while !self.idle && self.timer.as_mut().poll(cx).is_ready() {
            let due = self.since + self.after;
            if due > Instant::now() {
                self.timer.as_mut().reset(due);
            } else {
                self.idle = true;
                activity.rest();
            }
        }
    }
}
