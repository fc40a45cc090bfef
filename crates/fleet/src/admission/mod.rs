//! Who may have a session now: permits, memory, processes and disk of the host are budgets, and the
//! CPU takes a few starts at a time.
//!
//! ```text
//!  create ─▶ turn (first come, first served) ─▶ fits? ──yes──▶ Permit ─▶ claimed, or waits for a start
//!                                                 │ no
//!                                                 └─▶ waits: a permit is freed, the host has more again
//!                                                     └─▶ too long: refused, with the limit
//! ```
//!
//! A young session's memory does not show in the host's figures yet: what it was promised counts
//! until it has been there for [`YOUNG`].

mod budget;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{MutexGuard, Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

pub use budget::Limit;
pub(crate) use budget::{Need, Spare};

use crate::{FleetError, Metrics, Runtime};

/// How long a session's first memory takes to show in the host's figures.
const YOUNG: Duration = Duration::from_secs(10);
/// How long a turn is waited for at least: who does not have to wait gives it on at once.
const TURN: Duration = Duration::from_secs(1);
/// How often the host is looked at again for a create that waits.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How many may come, and how fast.
#[derive(Debug, Clone, Copy)]
pub struct Budgets {
    /// Sessions at a time.
    pub max_sessions: usize,
    /// Sessions that are started at a time.
    pub starts_at_once: usize,
    /// How long a create may wait until it fits.
    pub wait: Duration,
}

/// Lets sessions in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Admission {
    shared: Arc<Shared>,
}

struct Shared {
    budgets: Budgets,
    runtime: Arc<dyn Runtime>,
    metrics: Metrics,
    permits: Arc<Semaphore>,
    starts: Arc<Semaphore>,
    /// The create that has it is the next to get a permit.
    turn: tokio::sync::Mutex<()>,
    /// Told when a permit is freed.
    freed: Notify,
    promises: Mutex<Promises>,
}

#[derive(Default)]
struct Promises {
    next: u64,
    /// What sessions were promised, and until when it counts; none: until they run.
    young: BTreeMap<u64, (Need, Option<Instant>)>,
    /// What the create that has the turn waits for.
    wanted: Option<(Limit, Need)>,
}

impl Promises {
    /// Promises a session what it needs until it runs; answers its number.
    fn promise(&mut self, need: Need) -> u64 {
        self.next += 1;
        self.young.insert(self.next, (need, None));
        self.next
    }

    /// The session runs since `now`: soon the host's figures show it.
    fn runs(&mut self, number: u64, now: Instant) {
        if let Some((_, until)) = self.young.get_mut(&number) {
            *until = Some(now + YOUNG);
        }
    }

    /// How many do not run yet.
    fn starting(&self) -> usize {
        self.young.values().filter(|(_, until)| until.is_none()).count()
    }

    /// What is promised at `now`.
    fn all(&mut self, now: Instant) -> Need {
        self.young.retain(|_, (_, until)| until.is_none_or(|until| until > now));
        self.young.values().fold(Need::default(), |sum, (need, _)| sum.and(*need))
    }
}

/// Permission for one session on this host, held until nothing of it is left.
pub(crate) struct Permit {
    number: u64,
    permit: Option<OwnedSemaphorePermit>,
    start: Option<OwnedSemaphorePermit>,
    admission: Admission,
}

impl Admission {
    pub(crate) fn new(budgets: Budgets, runtime: Arc<dyn Runtime>, metrics: Metrics) -> Self {
        let shared = Shared {
            permits: Arc::new(Semaphore::new(budgets.max_sessions)),
            starts: Arc::new(Semaphore::new(budgets.starts_at_once)),
            budgets,
            runtime,
            metrics,
            turn: tokio::sync::Mutex::default(),
            freed: Notify::new(),
            promises: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Until when a create that comes now may wait.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + self.shared.budgets.wait
    }

    /// Waits to be the next, in the order of asking.
    pub(crate) async fn turn(&self, deadline: Instant) -> Result<MutexGuard<'_, ()>, FleetError> {
        let deadline = deadline.max(Instant::now() + TURN);
        match timeout_at(deadline, self.shared.turn.lock()).await {
            Ok(turn) => Ok(turn),
            Err(_) => {
                let wanted = self.shared.promises.lock().wanted;
                Err(self.refuse(wanted.map_or(Limit::MaxSessions, |(limit, _)| limit)))
            }
        }
    }

    /// A permit, as soon as there is one and the host has what `need` says just then. Only the
    /// create that has the turn calls this; `pressed` is told that something is missing.
    pub(crate) async fn permit(
        &self,
        need: impl Fn() -> Need,
        deadline: Instant,
        pressed: impl Fn(),
    ) -> Result<Permit, FleetError> {
        let _clean = Unwanted(self);
        loop {
            let need = need();
            let limit = match self.try_permit(need) {
                Ok(permit) => return Ok(permit),
                Err(limit) => limit,
            };
            self.shared.promises.lock().wanted = Some((limit, need));
            pressed();
            tokio::select! {
                () = self.shared.freed.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = tokio::time::sleep_until(deadline) => return Err(self.refuse(limit)),
            }
        }
    }

    fn try_permit(&self, need: Need) -> Result<Permit, Limit> {
        let permits = Arc::clone(&self.shared.permits);
        let permit = permits.try_acquire_owned().map_err(|_| Limit::MaxSessions)?;
        let headroom = self.shared.runtime.headroom();
        let mut promises = self.shared.promises.lock();
        if let Some(limit) = promises.all(Instant::now()).and(need).short_of(headroom) {
            return Err(limit);
        }
        let number = promises.promise(need);
        Ok(Permit { number, permit: Some(permit), start: None, admission: self.clone() })
    }

    fn refuse(&self, limit: Limit) -> FleetError {
        self.shared.metrics.refused(limit);
        let Budgets { max_sessions, starts_at_once, .. } = self.shared.budgets;
        let others_start = self.shared.promises.lock().starting();
        let starting = match limit {
            Limit::Cpu => true,
            Limit::MaxSessions => others_start >= max_sessions,
            _ => false,
        };
        let detail = match limit {
            Limit::MaxSessions if starting => {
                format!("all {max_sessions} sessions are taken, and are being started")
            }
            Limit::MaxSessions => format!("all {max_sessions} sessions are taken"),
            Limit::Memory => "the host's memory does not hold another one".to_owned(),
            Limit::Cpu => format!("{starts_at_once} are being started, and others wait for it"),
            Limit::Processes => "the host's limit of processes leaves too few".to_owned(),
            Limit::Disk => {
                "the disk of the state folder has no room beside what is kept free on it".to_owned()
            }
        };
        FleetError::NoCapacity { limit, detail, starting }
    }

    /// Permits that are free.
    pub(crate) fn free_permits(&self) -> usize {
        self.shared.permits.available_permits()
    }

    /// What the host has left beyond everything promised and waited for.
    pub(crate) fn spare(&self) -> Spare {
        let headroom = self.shared.runtime.headroom();
        let mut promises = self.shared.promises.lock();
        let wanted = promises.wanted.map_or(Need::default(), |(_, need)| need);
        Spare { headroom, promised: promises.all(Instant::now()).and(wanted) }
    }
}

/// No create waits for a permit any more once this is dropped.
struct Unwanted<'a>(&'a Admission);

impl Drop for Unwanted<'_> {
    fn drop(&mut self) {
        self.0.shared.promises.lock().wanted = None;
    }
}

impl Permit {
    /// Waits until the CPU can take another start, in the order of asking.
    pub(crate) async fn may_start(&mut self, deadline: Instant) -> Result<(), FleetError> {
        let shared = Arc::clone(&self.admission.shared);
        match timeout_at(deadline, Arc::clone(&shared.starts).acquire_owned()).await {
            Ok(start) => {
                self.start = start.ok();
                Ok(())
            }
            Err(_) => Err(self.admission.refuse(Limit::Cpu)),
        }
    }

    /// The session runs.
    pub(crate) fn running(&mut self) {
        self.start = None;
        self.admission.shared.promises.lock().runs(self.number, Instant::now());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permit = None;
        self.admission.shared.promises.lock().young.remove(&self.number);
        self.admission.shared.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;

    use async_trait::async_trait;
    use browserd_api::browser::SessionConfig;
    use browserd_api::{ReplayId, SessionId};
    use browserd_protocol::Route;
    use tokio::sync::mpsc;

    use super::*;
    use crate::{Headroom, Instance, RuntimeEvent, StartError, Urgency};

    /// A host with little memory, on which nothing is started.
    struct Small;

    #[async_trait]
    impl Runtime for Small {
        async fn start(
            &self,
            _: &SessionId,
            _: &SessionConfig,
            _: &Route,
            _: Urgency,
            _: mpsc::Sender<RuntimeEvent>,
        ) -> Result<Box<dyn Instance>, StartError> {
            unreachable!("these tests start nothing")
        }

        fn programs_stamp(&self) -> u64 {
            0
        }

        fn headroom(&self) -> Headroom {
            Headroom { memory: 100, ..Headroom::PLENTY }
        }

        async fn reconcile(&self) -> io::Result<Vec<SessionId>> {
            Ok(Vec::new())
        }

        async fn open_rescued(&self, _: &SessionId, _: &ReplayId) -> io::Result<Option<File>> {
            Ok(None)
        }

        async fn drop_rescued(&self, _: &SessionId, _: &ReplayId) -> io::Result<()> {
            Ok(())
        }

        async fn drop_rescued_except(&self, _: &[SessionId]) -> io::Result<()> {
            Ok(())
        }
    }

    fn admission() -> Admission {
        let budgets = Budgets { max_sessions: 8, starts_at_once: 1, wait: Duration::ZERO };
        Admission::new(budgets, Arc::new(Small), Metrics::default())
    }

    const NEED: Need = Need { memory: 60, processes: 1, disk: 1 };

    #[test]
    fn a_promise_counts_until_the_host_shows_it() {
        let (mut promises, now) = (Promises::default(), Instant::now());
        let number = promises.promise(NEED);
        assert_eq!(promises.all(now + 10 * YOUNG), NEED, "it does not run yet");
        promises.runs(number, now);
        assert_eq!(promises.all(now + YOUNG / 2), NEED, "it is young");
        assert_eq!(promises.all(now + 2 * YOUNG), Need::default());
    }

    #[tokio::test]
    async fn who_gives_up_wants_nothing_more() {
        let admission = admission();
        let held = admission.try_permit(NEED).ok().unwrap();
        let refused = admission.permit(|| NEED, Instant::now(), || {}).await.err();
        assert!(matches!(refused, Some(FleetError::NoCapacity { limit: Limit::Memory, .. })));
        let spare = admission.spare();
        assert_eq!((spare.memory_with(0), spare.memory_with(30)), (40, 70));
        drop(held);
    }
}
