//! How many sessions of each class are kept ready: the pure core of the pool.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Class;

/// What the operator wants kept ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolSize {
    /// As many as were asked for in a short time lately, within a share of the host's memory.
    Auto,
    /// These, whatever the demand.
    Fixed(BTreeMap<Class, usize>),
}

/// The most [`PoolSize::Auto`] keeps of one class.
const MOST: usize = 16;
/// Share of the memory free for new sessions that [`PoolSize::Auto`] may take unless it is told, as a
/// divisor.
const MEMORY_SHARE: u64 = 4;
/// Creates within this time of each other are one burst.
const BURST: Duration = Duration::from_secs(10);
/// Time in which a remembered burst halves.
const HALF_LIFE: Duration = Duration::from_secs(300);

/// What was asked for lately, of one class.
#[derive(Debug, Clone, Default)]
pub(super) struct Demand {
    /// Size of the burst under way, and when it began.
    burst: Option<(Duration, usize)>,
    /// The largest burst lately, and when that was.
    peak: Option<(Duration, f64)>,
}

impl Demand {
    /// A session was asked for at `now` (since any fixed moment).
    pub(super) fn asked(&mut self, now: Duration) {
        let count = match self.burst {
            Some((began, count)) if now.saturating_sub(began) <= BURST => {
                self.burst = Some((began, count + 1));
                count + 1
            }
            _ => {
                self.burst = Some((now, 1));
                1
            }
        };
        #[expect(clippy::cast_precision_loss, reason = "a count of sessions is small")]
        let count = count as f64;
        if count >= self.peak(now) {
            self.peak = Some((now, count));
        }
    }

    fn peak(&self, now: Duration) -> f64 {
        self.peak.map_or(0.0, |(at, count)| {
            let halvings = now.saturating_sub(at).as_secs_f64() / HALF_LIFE.as_secs_f64();
            count * (-halvings).exp2()
        })
    }

    /// How many to keep ready for the next burst: as many as the last one, one at least.
    fn wanted(&self, now: Duration) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the number of sessions"
        )]
        let peak = self.peak(now).round() as usize;
        peak.clamp(1, MOST)
    }
}

/// When sessions were taken lately.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Claims {
    /// The last one, and the first of those that followed each other closely.
    last: Option<(Duration, Duration)>,
}

/// How long a client has the CPU for itself once it has got a session.
const SETTLE: Duration = Duration::from_secs(1);
/// The same while no other session is ready.
const SETTLE_EMPTY: Duration = Duration::from_millis(100);
/// Clients that keep coming put refilling off for this long at most.
const SETTLE_MOST: Duration = Duration::from_secs(5);

impl Claims {
    /// A session was taken at `now`.
    pub(super) fn claimed(&mut self, now: Duration) {
        let first = match self.last {
            Some((last, first)) if now.saturating_sub(last) < SETTLE => first,
            _ => now,
        };
        self.last = Some((now, first));
    }

    /// How long to leave the CPU to clients before the next session is started, with `ready` of its
    /// class left.
    pub(super) fn refill_after(&self, now: Duration, ready: usize) -> Duration {
        let Some((last, first)) = self.last else { return Duration::ZERO };
        let settle = if ready == 0 { SETTLE_EMPTY } else { SETTLE };
        (last + settle).min(first + SETTLE_MOST).saturating_sub(now)
    }
}

/// What there is room for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Memory that is available, with what the pool takes already counted as available, bytes.
    pub(super) memory: u64,
    /// The most of it the pool may take, bytes, if that was said.
    pub(super) budget: Option<u64>,
    /// Sessions that may still be made.
    pub(super) permits: usize,
}

/// How many of each class to keep ready.
pub(super) fn targets(
    size: &PoolSize,
    classes: &[Class],
    demand: &BTreeMap<Class, Demand>,
    now: Duration,
    room: Room,
) -> BTreeMap<Class, usize> {
    let wanted: BTreeMap<Class, usize> = match size {
        PoolSize::Fixed(counts) => counts.clone(),
        PoolSize::Auto => {
            let idle = Demand::default();
            let of = |class: &Class| demand.get(class).unwrap_or(&idle).wanted(now);
            classes.iter().map(|class| (*class, of(class))).collect()
        }
    };
    let mut memory = match (room.budget, size) {
        (Some(budget), _) => budget.min(room.memory),
        (None, PoolSize::Auto) => room.memory / MEMORY_SHARE,
        (None, PoolSize::Fixed(_)) => room.memory,
    };
    let mut permits = room.permits;
    let mut targets: BTreeMap<Class, usize> = BTreeMap::new();
    // One of each in turn, so that none takes the room of all.
    for round in 0..wanted.values().copied().max().unwrap_or(0) {
        for (class, _) in wanted.iter().filter(|(_, count)| **count > round) {
            if permits > 0 && memory >= class.idle_bytes() {
                permits -= 1;
                memory -= class.idle_bytes();
                *targets.entry(*class).or_default() += 1;
            }
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: [Class; 2] = [Class::HEADLESS, Class::HEADFUL];
    const PLENTY: Room = Room { memory: 64 << 30, budget: None, permits: 100 };

    fn burst(count: usize, at: u64) -> BTreeMap<Class, Demand> {
        let mut demand = Demand::default();
        (0..count).for_each(|_| demand.asked(Duration::from_secs(at)));
        BTreeMap::from([(Class::HEADLESS, demand)])
    }

    fn auto(demand: &BTreeMap<Class, Demand>, at: u64, room: Room) -> BTreeMap<Class, usize> {
        targets(&PoolSize::Auto, &BOTH, demand, Duration::from_secs(at), room)
    }

    #[test]
    fn one_of_each_is_ready_before_the_first_create() {
        let one_each = BTreeMap::from([(Class::HEADLESS, 1), (Class::HEADFUL, 1)]);
        assert_eq!(auto(&BTreeMap::new(), 0, PLENTY), one_each);
    }

    #[test]
    fn the_pool_grows_to_the_last_burst_and_shrinks_again() {
        let demand = burst(8, 100);
        let of = |at| auto(&demand, at, PLENTY)[&Class::HEADLESS];
        assert_eq!((of(100), of(400), of(700), of(10_000)), (8, 4, 2, 1));
    }

    #[test]
    fn little_memory_keeps_nothing_ready() {
        assert!(auto(&burst(8, 0), 0, Room { memory: 512 << 20, ..PLENTY }).is_empty());
    }

    #[test]
    fn a_budget_is_kept_whatever_is_wanted() {
        let budget = Some(3 * Class::HEADLESS.idle_bytes());
        let fixed = PoolSize::Fixed(BTreeMap::from([(Class::HEADLESS, 8)]));
        for size in [PoolSize::Auto, fixed] {
            let kept =
                |room| targets(&size, &[Class::HEADLESS], &burst(8, 0), Duration::ZERO, room);
            assert_eq!(kept(Room { budget, ..PLENTY })[&Class::HEADLESS], 3);
            assert!(kept(Room { budget: Some(0), ..PLENTY }).is_empty());
            let little = Room { memory: Class::HEADLESS.idle_bytes(), budget, ..PLENTY };
            assert_eq!(kept(little)[&Class::HEADLESS], 1);
        }
    }

    #[test]
    fn refilling_leaves_the_cpu_to_the_last_client() {
        let ms = Duration::from_millis;
        let mut claims = Claims::default();
        assert_eq!(claims.refill_after(ms(0), 3), ms(0));
        claims.claimed(ms(1000));
        assert_eq!(claims.refill_after(ms(1200), 3), ms(800));
        assert_eq!(claims.refill_after(ms(1050), 0), ms(50), "none is left");
        assert_eq!(claims.refill_after(ms(3000), 3), ms(0));
        // They keep coming.
        (1..=12).for_each(|n| claims.claimed(ms(1000 + n * 500)));
        assert_eq!(claims.refill_after(ms(7001), 3), ms(0));
        claims.claimed(ms(9000));
        assert_eq!(claims.refill_after(ms(9000), 3), ms(1000), "a pause begins it anew");
    }

    proptest! {
        #[test]
        fn what_is_kept_fits(count in 0usize..40, memory in 0u64..(16 << 30), permits in 0usize..40, fixed in 0usize..40) {
            let room = Room { memory, budget: None, permits };
            let sizes = [PoolSize::Auto, PoolSize::Fixed(BOTH.map(|class| (class, fixed)).into())];
            for size in sizes {
                let kept = targets(&size, &BOTH, &burst(count, 0), Duration::ZERO, room);
                prop_assert!(kept.values().sum::<usize>() <= permits);
                let bytes: u64 = kept.iter().map(|(class, n)| class.idle_bytes() * *n as u64).sum();
                prop_assert!(bytes <= memory);
            }
        }
    }
}
