//! A running session: when it times out, is suspended, and is paged out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::{LiveSession, Standby, WakeLock};

/// What the actor keeps of a session that runs.
pub(super) struct Running {
    pub(super) live: LiveSession,
    pub(super) activity: watch::Receiver<usize>,
    /// When the session times out; none while someone uses it.
    pub(super) deadline: Option<Instant>,
    pub(super) wake_locks: watch::Receiver<usize>,
    /// When it is suspended; none while there is a wake lock, or it is suspended already.
    pub(super) suspend_at: Option<Instant>,
    /// When the memory of a suspended one is pushed out; none while it is not suspended, or once that
    /// has been done.
    pub(super) page_out_at: Option<Instant>,
    /// Held for processes inside that want one.
    pub(super) guest_wake_lock: Option<WakeLock>,
}

/// What happened to the use of a session.
pub(super) enum Idle {
    /// It has been idle for its timeout.
    TooLong,
    /// It is suspended now, where sessions can be.
    Suspended,
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
        () = at(running.suspend_at) => {
            running.suspend_at = None;
            let suspended = running.live.inner.suspend();
            let after = standby.page_out_after.filter(|_| suspended);
            running.page_out_at = after.map(|after| Instant::now() + after);
            Idle::Suspended
        }
        () = at(running.page_out_at) => {
            running.page_out_at = None;
            let inner = Arc::clone(&running.live.inner);
            tokio::spawn(async move { inner.page_out().await });
            Idle::Changed
        }
        Ok(()) = running.activity.changed() => {
            let used = *running.activity.borrow_and_update() > 0;
            running.deadline = (!used).then(|| deadline(timeout_seconds));
            Idle::Changed
        }
        Ok(()) = running.wake_locks.changed() => {
            let locked = *running.wake_locks.borrow_and_update() > 0;
            running.page_out_at = running.page_out_at.filter(|_| !locked);
            let after = standby.after.filter(|_| !locked);
            running.suspend_at = after.map(|after| Instant::now() + after);
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
