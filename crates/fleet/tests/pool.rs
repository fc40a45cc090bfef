//! Sessions that are started ahead, and suspended ones, with a runtime made of channels.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use browserd_api::browser::{EndReason, LocationRequest, SessionConfig};
use browserd_fleet::{
    Budgets, Change, Class, Fleet, FleetOptions, Headroom, NewSession, PoolSize, RuntimeEvent,
    Standby,
};

use tokio::sync::Semaphore;

use support::services::Services;
use support::{Fake, fleet_with, new};

fn keeping(headless: usize) -> FleetOptions {
    let pool = PoolSize::Fixed(BTreeMap::from([(Class::HEADLESS, headless)]));
    FleetOptions { pool, ..FleetOptions::cold(8) }
}

/// Waits until `count` sessions are ready.
async fn ready(fleet: &Fleet, count: usize) {
    while fleet.ready().get(&Class::HEADLESS).copied().unwrap_or(0) != count {
        tokio::task::yield_now().await;
    }
}

/// Waits until `count` sessions are frozen.
async fn frozen(fake: &Fake, count: usize) {
    while fake.frozen.lock().len() != count {
        tokio::task::yield_now().await;
    }
}

/// A browser is left to itself at first, so that its client need not wait for what it puts off.
#[tokio::test]
async fn a_ready_session_runs_until_it_has_settled() {
    let settle = Duration::from_secs(600);
    let (fleet, fake) = fleet_with(Fake::default(), FleetOptions { settle, ..keeping(2) }).await;
    ready(&fleet, 2).await;
    let (made, stages) = fleet.create(new(None, 60)).await.unwrap();
    assert!(stages.from_pool, "it can be had meanwhile");
    assert!(fake.frozen.lock().is_empty());
    assert!(!fleet.live(made.id.as_str()).unwrap().is_suspended());
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);

    let settle = Duration::from_millis(20);
    let (fleet, fake) = fleet_with(Fake::default(), FleetOptions { settle, ..keeping(2) }).await;
    frozen(&fake, 1).await;
    assert_eq!(fleet.ready()[&Class::HEADLESS], 2);
    fleet.shutdown().await;
}

/// A client that comes alone gets one that runs, and then the next one is resumed.
#[tokio::test]
async fn the_next_ready_session_is_awake() {
    let standby = Standby { after: Some(Duration::from_secs(600)), page_out_after: None };
    let (fleet, fake) = fleet_with(Fake::default(), FleetOptions { standby, ..keeping(2) }).await;
    for _ in 0..3 {
        ready(&fleet, 2).await;
        frozen(&fake, 1).await;
        let frozen_ones = fake.frozen.lock().clone();
        let (made, stages) = fleet.create(new(None, 60)).await.unwrap();
        assert!(stages.from_pool && !frozen_ones.contains(&made.id));
        assert!(!fleet.live(made.id.as_str()).unwrap().is_suspended());
        while frozen_ones.is_subset(&fake.frozen.lock()) {
            tokio::task::yield_now().await;
        }
    }
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_ready_session_is_taken_thawed_and_replaced() {
    let (fleet, fake) = fleet_with(Fake::default(), keeping(1)).await;
    ready(&fleet, 1).await;
    let (made, stages) = fleet.create(new(Some("one"), 60)).await.unwrap();
    assert!(stages.from_pool);
    assert!(!fake.frozen.lock().contains(&made.id));
    assert_eq!(fake.started_now.load(Ordering::SeqCst), 0);
    assert_eq!(fleet.live("one").unwrap().id(), &made.id);
    ready(&fleet, 1).await;
    let (second, _) = fleet.create(new(None, 60)).await.unwrap();
    assert_ne!(second.id, made.id);
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0, "the pool is cleared away too");
}

#[tokio::test]
async fn a_name_that_is_taken_costs_no_ready_session() {
    let (fleet, fake) = fleet_with(Fake::default(), keeping(1)).await;
    ready(&fleet, 1).await;
    fleet.create(new(Some("one"), 60)).await.unwrap();
    ready(&fleet, 1).await;
    let started = fake.started_ahead.load(Ordering::SeqCst);
    assert!(fleet.create(new(Some("one"), 60)).await.is_err());
    assert_eq!(fleet.ready()[&Class::HEADLESS], 1);
    assert_eq!(fake.started_ahead.load(Ordering::SeqCst), started);
    let (_, stages) = fleet.create(new(Some("two"), 60)).await.unwrap();
    assert!(stages.from_pool);
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_no_ready_session_can_become_is_started() {
    let (fleet, fake) = fleet_with(Fake::default(), keeping(1)).await;
    ready(&fleet, 1).await;
    let NewSession { mut config, name, tags, route } = new(None, 60);
    config.location = LocationRequest { timezone: Some("Asia/Tokyo".into()), locale: None };
    let (_, stages) = fleet.create(NewSession { config, name, tags, route }).await.unwrap();
    assert!(!stages.from_pool);
    assert_eq!(fake.started_now.load(Ordering::SeqCst), 1);
    fleet.shutdown().await;
}

#[tokio::test]
async fn one_that_fails_its_client_is_replaced_by_a_fresh_one() {
    let fake = Fake { fails_to_assign: true, ..Fake::default() };
    let (fleet, fake) = fleet_with(fake, keeping(1)).await;
    ready(&fleet, 1).await;
    let (made, _) = fleet.create(new(None, 60)).await.unwrap();
    assert_eq!(fake.started_now.load(Ordering::SeqCst), 1);
    fleet.live(made.id.as_str()).unwrap();
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn one_that_dies_waiting_is_given_to_nobody() {
    let (fleet, fake) = fleet_with(Fake::default(), keeping(1)).await;
    ready(&fleet, 1).await;
    let (dead, events) = fake.events.lock().pop_first().unwrap();
    let ended = RuntimeEvent::Ended { reason: EndReason::Crashed, detail: None };
    events.send(ended).await.unwrap();
    drop(events);
    while fake.started_ahead.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    ready(&fleet, 1).await;
    let (made, stages) = fleet.create(new(None, 60)).await.unwrap();
    assert!(stages.from_pool);
    assert_ne!(made.id, dead);
    fleet.shutdown().await;
}

#[tokio::test]
async fn replaced_programs_empty_the_pool() {
    let (fleet, fake) = fleet_with(Fake::default(), keeping(1)).await;
    ready(&fleet, 1).await;
    let old = fake.events.lock().keys().next().cloned().unwrap();
    fake.stamp.store(7, Ordering::SeqCst);
    // Nobody gets the old one, even before the keeper has looked.
    let (made, stages) = fleet.create(new(None, 60)).await.unwrap();
    assert!(!stages.from_pool);
    assert_ne!(made.id, old);
    while fake.started_ahead.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    ready(&fleet, 1).await;
    let (_, stages) = fleet.create(new(None, 60)).await.unwrap();
    assert!(stages.from_pool);
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_pool_takes_no_permit_of_a_client() {
    let budgets = Budgets { max_sessions: 2, ..keeping(2).budgets };
    let options = FleetOptions { budgets, ..keeping(2) };
    let (fleet, fake) = fleet_with(Fake::default(), options).await;
    ready(&fleet, 2).await;
    for _ in 0..2 {
        fleet.create(new(None, 60)).await.unwrap();
    }
    ready(&fleet, 0).await;
    assert_eq!(fake.started_ahead.load(Ordering::SeqCst), 2, "there is no room to refill");
    fleet.shutdown().await;
}

/// Sessions of the pool give way to one that a client waits for.
#[tokio::test]
async fn the_pool_gives_its_memory_to_a_create_that_waits() {
    let budgets = Budgets { wait: Duration::from_secs(600), ..keeping(2).budgets };
    let (fleet, fake) = fleet_with(Fake::default(), FleetOptions { budgets, ..keeping(2) }).await;
    ready(&fleet, 2).await;
    // Too little for one more, until one of the two that wait is gone.
    *fake.headroom.lock() = Some(Headroom { memory: 200 << 20, ..Headroom::PLENTY });
    let policy =
        SessionConfig { chrome_policy: Some(Default::default()), ..Class::HEADLESS.template() };
    let own = NewSession { config: policy, ..new(None, 60) };
    let gives_way = async {
        while fleet.ready().values().sum::<usize>() > 0 {
            tokio::task::yield_now().await;
        }
        *fake.headroom.lock() = Some(Headroom { memory: 400 << 20, ..Headroom::PLENTY });
    };
    let (made, ()) = tokio::join!(fleet.create(own), gives_way);
    assert!(!made.unwrap().1.from_pool);
    fleet.shutdown().await;
}

fn suspending() -> FleetOptions {
    let standby = Standby { after: Some(Duration::from_millis(1)), page_out_after: None };
    FleetOptions { standby, ..FleetOptions::cold(2) }
}

#[tokio::test]
async fn an_idle_session_is_suspended_until_it_is_used() {
    let (fleet, fake) = fleet_with(Fake::default(), suspending()).await;
    let (made, _) = fleet.create(new(None, 60)).await.unwrap();
    let live = fleet.live(made.id.as_str()).unwrap();
    let frozen = || fake.frozen.lock().contains(&made.id);
    for round in 0..3 {
        while !live.is_suspended() {
            tokio::task::yield_now().await;
        }
        assert!(frozen(), "round {round}");
        let used = live.activity();
        // The use itself resumes it.
        while live.is_suspended() {
            tokio::task::yield_now().await;
        }
        let wake_lock = live.wake_lock();
        drop(used);
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!frozen() && !live.is_suspended(), "there is a wake lock");
        drop(wake_lock);
    }
    let mut connected = live.activity();
    for round in 0..2 {
        connected.rest();
        while !live.is_suspended() {
            tokio::task::yield_now().await;
        }
        connected.wake();
        connected.wake();
        while live.is_suspended() {
            tokio::task::yield_now().await;
        }
        assert!(!frozen(), "round {round}");
    }
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn processes_inside_may_hold_a_wake_lock() {
    let (fleet, fake) = fleet_with(Fake::default(), suspending()).await;
    let (made, _) = fleet.create(new(None, 60)).await.unwrap();
    let live = fleet.live(made.id.as_str()).unwrap();
    let events = fake.events.lock().get(&made.id).cloned().unwrap();
    events.send(RuntimeEvent::WakeLock(true)).await.unwrap();
    while live.is_suspended() {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!live.is_suspended());
    events.send(RuntimeEvent::WakeLock(false)).await.unwrap();
    while !live.is_suspended() {
        tokio::task::yield_now().await;
    }
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_suspended_session_times_out_all_the_same() {
    let (fleet, fake) = fleet_with(Fake::default(), suspending()).await;
    let (made, _) = fleet.create(new(None, 3600)).await.unwrap();
    let live = fleet.live(made.id.as_str()).unwrap();
    while !live.is_suspended() {
        tokio::task::yield_now().await;
    }
    // Another time without activity takes the place of the first at once.
    let sooner = Change { timeout_seconds: Some(1), ..Change::default() };
    let row = fleet.change(made.id.as_str(), sooner, Services::new()).await.unwrap();
    assert_eq!(row.config.timeout_seconds, 1);
    assert_eq!(live.wait_end().await, EndReason::TimedOut);
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
    drop(Arc::clone(&fake));
}

/// Of two claims at once that have to change nothing, one leaves its session frozen: its first use
/// resumes it.
#[tokio::test]
async fn a_ready_session_stays_frozen_until_its_first_use() {
    let standby = Standby { after: Some(Duration::from_secs(600)), page_out_after: None };
    let (fleet, fake) = fleet_with(Fake::default(), FleetOptions { standby, ..keeping(2) }).await;
    ready(&fleet, 2).await;
    frozen(&fake, 1).await;
    let frozen_id = fake.frozen.lock().first().cloned().unwrap();
    let (one, other) = tokio::join!(fleet.create(new(None, 60)), fleet.create(new(None, 60)));
    let plain = [one.unwrap().0, other.unwrap().0].into_iter().find(|made| made.id == frozen_id);
    let plain = plain.expect("both are out of the pool");
    let live = fleet.live(plain.id.as_str()).unwrap();
    assert!(live.is_suspended() && fake.frozen.lock().contains(&plain.id));
    let _used = live.activity();
    while live.is_suspended() {
        tokio::task::yield_now().await;
    }
    assert!(!fake.frozen.lock().contains(&plain.id));
    ready(&fleet, 2).await;
    frozen(&fake, 1).await;
    let config = SessionConfig { kiosk_mode: true, ..Class::HEADLESS.template() };
    let kiosk = || fleet.create(NewSession { config: config.clone(), ..new(None, 60) });
    let (one, other) = tokio::join!(kiosk(), kiosk());
    for (changed, stages) in [one.unwrap(), other.unwrap()] {
        assert!(stages.from_pool && !fake.frozen.lock().contains(&changed.id));
    }
    fleet.shutdown().await;
}

#[tokio::test]
async fn the_memory_of_a_suspended_session_is_pushed_out() {
    let moment = Some(Duration::from_millis(1));
    let standby = Standby { after: moment, page_out_after: moment };
    let options = FleetOptions { standby, ..FleetOptions::cold(2) };
    let (fleet, fake) = fleet_with(Fake::default(), options).await;
    let (used, _) = fleet.create(new(None, 60)).await.unwrap();
    let _use = fleet.live(used.id.as_str()).unwrap().activity();
    let (quiet, _) = fleet.create(new(None, 60)).await.unwrap();
    while !fake.paged_out.lock().contains(&quiet.id) {
        tokio::task::yield_now().await;
    }
    assert!(!fake.paged_out.lock().contains(&used.id));
    fleet.shutdown().await;
}

/// The kernel takes its time to freeze: no claim waits for that, and what a claim wants lands last.
#[tokio::test]
async fn a_claim_does_not_wait_while_another_one_is_being_frozen() {
    let gate = Arc::new(Semaphore::new(0));
    let fake = Fake { slow_freeze: Some(Arc::clone(&gate)), ..Fake::default() };
    let (fleet, fake) = fleet_with(fake, keeping(3)).await;
    ready(&fleet, 3).await;
    while fake.freezes_asked.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    // Without standby nothing may stay frozen that a client has.
    for _ in 0..3 {
        let (made, stages) = fleet.create(new(None, 60)).await.unwrap();
        assert!(stages.from_pool);
        let live = fleet.live(made.id.as_str()).unwrap();
        drop(live.dial_guest().await.unwrap());
    }
    let clients = fleet.active();
    assert_eq!(clients.len(), 3);
    gate.add_permits(1000);
    let thawed = async {
        // Two were to be frozen, and thawed for their clients after that.
        while gate.available_permits() > 996
            || clients.iter().any(|id| fake.frozen.lock().contains(id))
        {
            tokio::task::yield_now().await;
        }
    };
    let thawed = tokio::time::timeout(Duration::from_secs(60), thawed).await;
    thawed.expect("no client's session stays frozen");
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
}

/// A use that comes while a session is being suspended is not overtaken by that.
#[tokio::test]
async fn a_use_that_comes_while_it_is_being_frozen_ends_in_a_thaw() {
    let gate = Arc::new(Semaphore::new(0));
    let fake = Fake { slow_freeze: Some(Arc::clone(&gate)), ..Fake::default() };
    let (fleet, fake) = fleet_with(fake, suspending()).await;
    let (made, _) = fleet.create(new(None, 60)).await.unwrap();
    let live = fleet.live(made.id.as_str()).unwrap();
    for round in 0..3 {
        // It waits for the kernel.
        while fake.freezes_asked.load(Ordering::SeqCst) != 2 * round + 1 {
            tokio::task::yield_now().await;
        }
        let used = live.activity();
        drop(live.dial_guest().await.unwrap());
        gate.add_permits(1);
        while fake.freezes_asked.load(Ordering::SeqCst) != 2 * round + 2 {
            tokio::task::yield_now().await;
        }
        assert!(fake.frozen.lock().contains(&made.id), "that was asked for first");
        gate.add_permits(1);
        while live.is_suspended() {
            tokio::task::yield_now().await;
        }
        assert!(!fake.frozen.lock().contains(&made.id), "round {round}");
        drop(used);
    }
    gate.add_permits(1000);
    fleet.shutdown().await;
}
