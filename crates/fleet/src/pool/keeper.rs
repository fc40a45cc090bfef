//! The task that keeps the pool's size right.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use browserd_api::SessionId;
use browserd_protocol::Route;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::sizing::{Room, targets};
use super::{Class, Pool, PoolSize, Prepared, Started};
use crate::admission::{Admission, Need};
use crate::{Runtime, Urgency};

/// How often demand, memory and programs are looked at again without an event.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The wait after a start that failed; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Everything the keeper needs.
pub(crate) struct Keeper {
    pub(crate) pool: Pool,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) size: PoolSize,
    /// The most memory it may take, bytes; none: what `size` makes of what is free.
    pub(crate) memory: Option<u64>,
    /// How long a fresh browser is left running before it is frozen.
    pub(crate) settle: Duration,
    /// Classes this host can start, for [`PoolSize::Auto`].
    pub(crate) classes: Vec<Class>,
    /// Knows what is left for the pool.
    pub(crate) admission: Admission,
    pub(crate) stop: CancellationToken,
}

/// What there is to do.
enum Step {
    Start(Class),
    /// Look again after this long at most.
    WaitFor(Duration),
    Discard(Box<Prepared>),
    Wait,
}

impl Keeper {
    /// Keeps the number right until told to stop, and leaves nothing behind.
    pub(crate) async fn run(self) {
        let discards = TaskTracker::new();
        let mut pause = PAUSE;
        while !self.stop.is_cancelled() {
            let settled = self.pool.rest().unwrap_or(LOOK_AGAIN);
            match self.next_step() {
                Step::Discard(mut one) => {
                    discards.spawn(async move { one.discard().await });
                }
                Step::Start(class) => match self.start(class).await {
                    true => pause = PAUSE,
                    false => {
                        self.wait(pause, &discards).await;
                        pause = LONGEST_PAUSE.min(pause * 2);
                    }
                },
                Step::WaitFor(pause) => self.wait(pause.min(settled), &discards).await,
                Step::Wait => self.wait(LOOK_AGAIN.min(settled), &discards).await,
            }
        }
        loop {
            let one = self.pool.take(&mut self.pool.shared.state.lock(), 0);
            let Some(mut one) = one else { break };
            discards.spawn(async move { one.discard().await });
        }
        discards.close();
        discards.wait().await;
    }

    /// Waits until something may be to do, `longest` at most.
    async fn wait(&self, longest: Duration, discards: &TaskTracker) {
        tokio::select! {
            () = self.pool.shared.changed.notified() => {}
            mut one = self.spoilt() => {
                self.pool.shared.metrics.discarded();
                tracing::warn!(session = %one.id, "a session of the pool ended before any client had it; another one is started");
                discards.spawn(async move { one.discard().await });
            }
            () = tokio::time::sleep(longest) => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn next_step(&self) -> Step {
        let stamp = self.runtime.programs_stamp();
        let spare = self.admission.spare();
        let now = self.pool.shared.began.elapsed();
        let mut state = self.pool.shared.state.lock();
        if let Some(stale) = state.ready.iter().position(|one| one.stamp != stamp) {
            return self.discard(self.pool.take(&mut state, stale));
        }
        let mut have: BTreeMap<Class, usize> = BTreeMap::new();
        let mut held = 0;
        for one in &state.ready {
            *have.entry(one.class).or_default() += 1;
            held += one.class.idle_bytes();
        }
        let memory = spare.memory_with(held);
        let room = Room { memory, budget: self.memory, permits: self.admission.free_permits() };
        let wanted = targets(&self.size, &self.classes, &state.demand, now, room);
        let of = |counts: &BTreeMap<Class, usize>, class| counts.get(class).copied().unwrap_or(0);
        if let Some((class, _)) = have.iter().find(|(class, count)| **count > of(&wanted, class)) {
            let surplus = state.ready.iter().position(|one| one.class == *class);
            return self.discard(surplus.and_then(|at| self.pool.take(&mut state, at)));
        }
        let claims = state.claims;
        drop(state);
        if self.pool.shared.waiting.load(Ordering::Acquire) > 0 {
            return Step::Wait;
        }
        let short = wanted.iter().filter(|(class, count)| **count > of(&have, class));
        // The class that has least of what it should have.
        let emptiest = short.min_by_key(|(class, count)| of(&have, class) * 1000 / **count);
        let Some((class, _)) = emptiest else { return Step::Wait };
        if !spare.holds(Need::of(&class.template(), false)) {
            return Step::Wait;
        }
        match claims.refill_after(now, of(&have, class)) {
            Duration::ZERO => Step::Start(*class),
            pause => Step::WaitFor(pause),
        }
    }

    fn discard(&self, one: Option<Prepared>) -> Step {
        let Some(one) = one else { return Step::Wait };
        self.pool.shared.metrics.discarded();
        Step::Discard(Box::new(one))
    }

    /// Starts one and puts it into the pool; answers whether that went well.
    async fn start(&self, class: Class) -> bool {
        let (id, stamp) = (SessionId::generate(), self.runtime.programs_stamp());
        let (sender, events) = mpsc::channel(16);
        let (runtime, template) = (Arc::clone(&self.runtime), class.template());
        let (name, unless) = (id.clone(), Urgency::Ahead(self.stop.clone()));
        // Of its own, so that a start is never broken off half way.
        let starting = tokio::spawn(async move {
            let route = Route::Direct;
            runtime.start(&name, &template, &route, unless, sender).await
        });
        let instance = match starting.await {
            Ok(Ok(instance)) => instance,
            Ok(Err(_)) if self.stop.is_cancelled() => return false,
            Ok(Err(error)) => {
                tracing::warn!(%error, ?class, "could not start a session for the pool; trying again after a pause");
                return false;
            }
            Err(error) => {
                tracing::error!(%error, ?class, "could not start a session for the pool; trying again after a pause");
                return false;
            }
        };
        tracing::debug!(session = %id, ?class, "a session is ready in the pool");
        let started = Started { instance: instance.into(), events, frozen: false };
        let settles_at = Some(self.pool.shared.began.elapsed() + self.settle);
        self.pool.put(Prepared { id, class, stamp, settles_at, started, moves: 0, moving: None });
        true
    }

    /// Resolves when something happened to a session in the pool, which is then out of it.
    async fn spoilt(&self) -> Prepared {
        poll_fn(|cx| {
            let mut state = self.pool.shared.state.lock();
            let spoilt = state.ready.iter_mut().position(|one| one.poll_spoilt(cx).is_ready());
            match spoilt.and_then(|at| self.pool.take(&mut state, at)) {
                Some(one) => Poll::Ready(one),
                None => Poll::Pending,
            }
        })
        .await
    }
}
