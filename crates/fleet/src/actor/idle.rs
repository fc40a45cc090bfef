//! A session that runs, and what comes of nobody using it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::{LiveSession, Standby, StayAwake};

/// What its actor holds of a session that runs.
pub(super) struct Running {
    pub(super) live: LiveSession,
    pub(super) activity: watch::Receiver<usize>,
    /// When the session times out; none while someone uses it.
    pub(super) deadline: Option<Instant>,
    pub(super) holds: watch::Receiver<usize>,
    /// When the session stands by; none while someone wants it awake, or it does already.
    pub(super) standby: Option<Instant>,
    /// When the memory of one that stands by is pushed out; none while it does not, or has been.
    pub(super) page_out: Option<Instant>,
    /// Processes inside want it awake.
    pub(super) asked_awake: Option<StayAwake>,
}

/// What came of nobody using a session, or somebody.
pub(super) enum Idle {
    /// It has been idle for its timeout.
    TooLong,
    /// It stands by now, if it can.
    Standby,
    /// Its use changed, and the deadlines with it.
    Changed,
}

/// Follows a session's use.
pub(super) async fn idle(
    running: Option<&mut Running>,
    timeout_seconds: u32,
    standby: Standby,
) -> Idle {
    let Some(running) = running else { return std::future::pending().await };
    tokio::select! {
        () = at(running.deadline) => Idle::TooLong,
        () = at(running.standby) => {
            running.standby = None;
            let stands_by = running.live.inner.stand_by();
            let page_out = standby.page_out_after.filter(|_| stands_by);
            running.page_out = page_out.map(|after| Instant::now() + after);
            Idle::Standby
        }
        () = at(running.page_out) => {
            running.page_out = None;
            let inner = Arc::clone(&running.live.inner);
            tokio::spawn(async move { inner.page_out().await });
            Idle::Changed
        }
        Ok(()) = running.activity.changed() => {
            let used = *running.activity.borrow_and_update() > 0;
            running.deadline = (!used).then(|| deadline(timeout_seconds));
            Idle::Changed
        }
        Ok(()) = running.holds.changed() => {
            let held = *running.holds.borrow_and_update() > 0;
            running.page_out = running.page_out.filter(|_| !held);
            let after = standby.after.filter(|_| !held);
            running.standby = after.map(|after| Instant::now() + after);
            Idle::Changed
        }
    }
}

/// When a session that nobody uses from now on times out.
pub(super) fn deadline(timeout_seconds: u32) -> Instant {
    Instant::now() + Duration::from_secs(u64::from(timeout_seconds))
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
