//! A running session: when it times out, is suspended, and is paged out.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{CommandError, LiveSession, Standby, WakeLock};

/// So many pings in a row that a session in use does not answer are its end.
const MISSED_PINGS: u32 = 4;

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
    pub(super) pings: Pings,
}

/// Whether a session in use still answers: requests that wait for a guest that is stuck would wait for ever.
#[derive(Default)]
pub(super) struct Pings {
    /// When it is asked next; none while nobody uses it, or it is being asked.
    at: Option<Instant>,
    asked: Option<JoinHandle<Result<(), CommandError>>>,
    /// Pings that were not answered since the last one that was.
    missed: u32,
}

/// What happened to the use of a session.
pub(super) enum Idle {
    /// It has been idle for its timeout.
    TooLong,
    /// It is being suspended, where sessions can be.
    Suspended,
    /// Its use changed, and the deadlines with it.
    Changed,
    /// It does not answer any more.
    Stuck,
}

/// Follows a session's use.
pub(super) async fn idle(
    running: Option<&mut Running>,
    timeout_seconds: u32,
    standby: Standby,
    ping_every: Duration,
) -> Idle {
    let Some(running) = running else { return std::future::pending().await };
    tokio::select! {
        () = at(running.deadline) => Idle::TooLong,
        () = at(running.suspend_at) => {
            running.suspend_at = None;
            running.live.inner.suspend();
            // Of one that could not be suspended nothing is pushed out then.
            running.page_out_at = standby.page_out_after.map(|after| Instant::now() + after);
            Idle::Suspended
        }
        () = at(running.page_out_at) => {
            running.page_out_at = None;
            let inner = Arc::clone(&running.live.inner);
            tokio::spawn(async move { inner.page_out().await });
            Idle::Changed
        }
        () = at(running.pings.at) => {
            running.pings.at = None;
            let locked = *running.wake_locks.borrow() > 0;
            running.pings.asked = locked.then(|| tokio::spawn(ping(running.live.clone())));
            Idle::Changed
        }
        answered = answered(running.pings.asked.as_mut()) => {
            running.pings.asked = None;
            running.pings.at = Some(Instant::now() + ping_every);
            running.pings.missed = match answered {
                Err(CommandError::Unanswered(_)) => running.pings.missed + 1,
                // One that has ended is told to have.
                _ => 0,
            };
            if running.pings.missed < MISSED_PINGS { Idle::Changed } else { Idle::Stuck }
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
            let pings = &mut running.pings;
            if locked && pings.asked.is_none() {
                pings.at.get_or_insert_with(|| Instant::now() + ping_every);
            }
            Idle::Changed
        }
    }
}

/// Asks a session whether it still answers. It is not suspended meanwhile.
async fn ping(live: LiveSession) -> Result<(), CommandError> {
    let _wake_lock = live.wake_lock();
    live.inner.instance.ping().await
}

async fn answered(
    asked: Option<&mut JoinHandle<Result<(), CommandError>>>,
) -> Result<(), CommandError> {
    match asked {
        Some(asked) => asked.await.unwrap_or(Err(CommandError::Gone)),
        None => std::future::pending().await,
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
