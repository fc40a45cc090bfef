//! Sessions started ahead of their clients: CDP-ready, all but the next of each kind frozen, one task to
//! keep their number right.
//!
//! ```text
//!            keeper: one start at a time, at the lowest CPU weight, while nobody waits for another
//!  Runtime::start(Ahead) ─▶ [ready, settling ─▶ frozen ─▶ the next: awake] ──claim: assign──▶ a client's session
//!                             │                    └────────────────────────claim of many at once: thaw and
//!                             │                             assign at the first use, when nothing has to change
//!                             └─ died, too many, programs replaced ─▶ discarded
//! ```
//!
//! What is taken out of the pool is a session of its own, started from nothing like any other: its
//! id, uids, folders and machine id were made for it, and no two share any of it.

mod class;
mod keeper;
mod prepared;
mod sizing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use browserd_api::browser::SessionConfig;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Metrics;

pub use class::Class;
pub(crate) use keeper::Keeper;
pub(crate) use prepared::{Events, Prepared, Started};
pub use sizing::PoolSize;
use sizing::{Claims, Demand};

/// How long after its start Chromium has done what it puts off then: measured, it takes some 0.4 s of
/// CPU time in bursts over ten seconds, which its first client would wait for otherwise.
pub const CHROMIUM_SETTLES: Duration = Duration::from_secs(12);

/// The sessions that are ready. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Told when the keeper may have something to do.
    changed: Notify,
    /// Clients whose session is being started or assigned just now.
    waiting: AtomicUsize,
    began: Instant,
    metrics: Metrics,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Prepared>,
    demand: BTreeMap<Class, Demand>,
    claims: Claims,
}

/// Held while a client waits for a session: the keeper starts nothing meanwhile.
pub(crate) struct Waiting(Pool);

impl Waiting {
    /// Puts a session that was not needed after all back into the pool, as it came out.
    pub(crate) fn give_back(&self, one: Prepared) {
        self.0.put(one);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.0.shared.waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.shared.changed.notify_one();
        }
    }
}

impl Pool {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            changed: Notify::new(),
            waiting: AtomicUsize::new(0),
            began: Instant::now(),
            metrics,
        };
        Self { shared: Arc::new(shared) }
    }

    /// A ready session that can become `config`, the one that waited longest. `stamp` is what
    /// programs are now.
    pub(crate) fn claim(&self, config: &SessionConfig, stamp: u64) -> Option<Prepared> {
        let class = Class::serves(config)?;
        let now = self.shared.began.elapsed();
        let mut state = self.shared.state.lock();
        state.demand.entry(class).or_default().asked(now);
        let fits = |one: &Prepared| one.class == class && one.stamp == stamp;
        let found = state.ready.iter().position(fits)?;
        state.claims.claimed(now);
        self.take(&mut state, found)
    }

    /// Whether [`Self::claim`] would find one.
    pub(crate) fn has(&self, config: &SessionConfig, stamp: u64) -> bool {
        let class = Class::serves(config);
        let fits = |one: &Prepared| Some(one.class) == class && one.stamp == stamp;
        self.shared.state.lock().ready.iter().any(fits)
    }

    /// Says that what is left for the pool has changed.
    pub(crate) fn look_again(&self) {
        self.shared.changed.notify_one();
    }

    /// Takes one out.
    fn take(&self, state: &mut State, at: usize) -> Option<Prepared> {
        let mut one = state.ready.remove(at)?;
        self.count(&one, -1);
        // Nobody notes it any more when that is done, and whatever else is asked of it is done after that.
        one.started.frozen = one.moving.take().unwrap_or(one.started.frozen);
        Some(one)
    }

    /// Puts one in.
    fn put(&self, one: Prepared) {
        self.count(&one, 1);
        self.shared.state.lock().ready.push_back(one);
    }

    fn count(&self, one: &Prepared, by: i64) {
        self.shared.metrics.ready(one.class.headless, by);
        if one.started.frozen {
            self.shared.metrics.ready_frozen(one.class.headless, by);
        }
    }

    /// Has those frozen that have settled, but for the next of each class: that one is woken, so that
    /// a client that comes alone need not wait until its browser has caught up with its timers. Answers with
    /// how long it takes until another one has settled.
    fn rest(&self) -> Option<Duration> {
        let now = self.shared.began.elapsed();
        let mut next: Option<Duration> = None;
        let mut awake = BTreeSet::new();
        for one in &mut self.shared.state.lock().ready {
            if awake.insert(one.class) {
                // Not while a client waits for a session: waking takes CPU.
                let frozen = one.started.frozen && one.moving.is_none();
                if frozen && self.shared.waiting.load(Ordering::Acquire) == 0 {
                    self.freeze(one, false);
                    // Should another one come to be the next, it has settled long ago.
                    one.settles_at = Some(now);
                }
                continue;
            }
            if one.moving.is_some() {
                continue;
            }
            let Some(settles_at) = one.settles_at else { continue };
            let left = settles_at.saturating_sub(now);
            if !left.is_zero() {
                next = Some(next.map_or(left, |next| next.min(left)));
                continue;
            }
            one.settles_at = None;
            self.freeze(one, true);
            tracing::debug!(session = %one.id, "a ready session has settled");
        }
        next
    }

    /// Has one frozen or thawed, and notes what came of it if it is still in the pool then. Only asks: a
    /// claim, which needs the lock under which this is called, does not wait for the kernel.
    fn freeze(&self, one: &mut Prepared, frozen: bool) {
        one.moves += 1;
        one.moving = Some(frozen);
        let (pool, id, moves) = (self.clone(), one.id.clone(), one.moves);
        let done = one.started.instance.freeze(frozen);
        tokio::spawn(async move {
            let wanted = frozen;
            let frozen = done.await;
            let mut state = pool.shared.state.lock();
            let one = state.ready.iter_mut().find(|one| one.id == id && one.moves == moves);
            let Some(one) = one else { return };
            one.moving = None;
            if std::mem::replace(&mut one.started.frozen, frozen) != frozen {
                let by = if frozen { 1 } else { -1 };
                pool.shared.metrics.ready_frozen(one.class.headless, by);
            }
            drop(state);
            // Another one may be the next by now. One that stays as it is is looked at in its time.
            if frozen == wanted {
                pool.look_again();
            }
        });
    }

    /// Says that a client waits for a session.
    pub(crate) fn waiting(&self) -> Waiting {
        self.shared.waiting.fetch_add(1, Ordering::AcqRel);
        Waiting(self.clone())
    }

    /// How many of each class are ready.
    pub(crate) fn ready(&self) -> BTreeMap<Class, usize> {
        let mut counts = BTreeMap::new();
        for one in &self.shared.state.lock().ready {
            *counts.entry(one.class).or_default() += 1;
        }
        counts
    }
}
