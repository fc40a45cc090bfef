//! Who gets a session when there is not enough for all.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use browserd_fleet::{Budgets, FleetError, FleetOptions, Headroom, Limit, ProjectFleet};
use futures_util::FutureExt;
use support::{Fake, fleet_with, new};
use tokio::sync::Notify;

const PATIENT: Duration = Duration::from_secs(600);

fn budgets(max_sessions: usize, starts_at_once: usize, wait: Duration) -> FleetOptions {
    let budgets = Budgets { max_sessions, starts_at_once, wait };
    FleetOptions { budgets, ..FleetOptions::cold(max_sessions) }
}

async fn refused(fleet: &ProjectFleet) -> Limit {
    match fleet.create(new(None, 60)).await {
        Err(FleetError::NoCapacity { limit, .. }) => limit,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_the_host_lacks_is_named_and_nothing_is_started() {
    let (fleet, fake) = fleet_with(Fake::default(), FleetOptions::cold(8)).await;
    for (headroom, limit) in [
        (Headroom { memory: 64 << 20, ..Headroom::PLENTY }, Limit::Memory),
        (Headroom { processes: 10, ..Headroom::PLENTY }, Limit::Processes),
        (Headroom { disk: 1 << 20, ..Headroom::PLENTY }, Limit::Disk),
    ] {
        *fake.headroom.lock() = Some(headroom);
        assert_eq!(refused(&fleet).await, limit);
    }
    assert_eq!(fake.started_now.load(Ordering::SeqCst), 0);
    *fake.headroom.lock() = None;
    fleet.create(new(None, 60)).await.unwrap();
    fleet.shutdown().await;
}

/// The host's figures do not show yet what sessions that are just being made will take.
#[tokio::test]
async fn memory_is_promised_once() {
    let (fleet, fake) = fleet_with(Fake::default(), FleetOptions::cold(8)).await;
    *fake.headroom.lock() = Some(Headroom { memory: 700 << 20, ..Headroom::PLENTY });
    let (first, second) = tokio::join!(fleet.create(new(None, 60)), fleet.create(new(None, 60)));
    let (first, _) = first.unwrap();
    second.unwrap();
    assert_eq!(refused(&fleet).await, Limit::Memory);
    fleet.delete(first.id.as_str()).await.unwrap();
    while fake.running.load(Ordering::SeqCst) > 1 {
        tokio::task::yield_now().await;
    }
    fleet.shutdown().await;
}

#[tokio::test]
async fn who_waits_gets_the_place_that_is_freed_and_the_first_gets_it_first() {
    let (fleet, _) = fleet_with(Fake::default(), budgets(1, 1, PATIENT)).await;
    let (holder, _) = fleet.create(new(None, 60)).await.unwrap();
    let mut first = Box::pin(fleet.create(new(Some("first"), 60)));
    let mut second = Box::pin(fleet.create(new(Some("second"), 60)));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    fleet.delete(holder.id.as_str()).await.unwrap();
    let (made, stages) = tokio::select! {
        made = first => made.unwrap(),
        made = &mut second => panic!("overtaken: {made:?}"),
    };
    assert_eq!(made.name.as_deref(), Some("first"));
    assert!(stages.admitted > Duration::ZERO);
    fleet.delete("first").await.unwrap();
    assert_eq!(second.await.unwrap().0.name.as_deref(), Some("second"));
    fleet.shutdown().await;
}

#[tokio::test]
async fn who_goes_away_while_waiting_is_skipped() {
    let (fleet, _) = fleet_with(Fake::default(), budgets(1, 1, PATIENT)).await;
    let (holder, _) = fleet.create(new(None, 60)).await.unwrap();
    let mut gone = Box::pin(fleet.create(new(Some("gone"), 60)));
    let mut stays = Box::pin(fleet.create(new(Some("stays"), 60)));
    assert!(gone.as_mut().now_or_never().is_none());
    assert!(stays.as_mut().now_or_never().is_none());
    drop(gone);
    fleet.delete(holder.id.as_str()).await.unwrap();
    assert_eq!(stays.await.unwrap().0.name.as_deref(), Some("stays"));
    assert!(fleet.live("gone").is_err());
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_few_start_at_a_time() {
    let may_start = Arc::new(Notify::new());
    let fake = Fake { may_start: Some(Arc::clone(&may_start)), ..Fake::default() };
    let (fleet, fake) = fleet_with(fake, budgets(8, 1, PATIENT)).await;
    let mut first = Box::pin(fleet.create(new(None, 60)));
    let mut second = Box::pin(fleet.create(new(None, 60)));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    may_start.notify_one();
    first.await.unwrap();
    assert_eq!(fake.started_now.load(Ordering::SeqCst), 1);
    may_start.notify_one();
    second.await.unwrap();
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_start_that_does_not_get_its_turn_is_refused() {
    let may_start = Arc::new(Notify::new());
    let fake = Fake { may_start: Some(Arc::clone(&may_start)), ..Fake::default() };
    let (fleet, _) = fleet_with(fake, budgets(8, 1, Duration::from_millis(10))).await;
    let mut slow = Box::pin(fleet.create(new(None, 60)));
    assert!(slow.as_mut().now_or_never().is_none());
    assert_eq!(refused(&fleet).await, Limit::Cpu);
    may_start.notify_one();
    slow.await.unwrap();
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_ends_the_wait() {
    let (fleet, _) = fleet_with(Fake::default(), budgets(1, 1, PATIENT)).await;
    fleet.create(new(None, 60)).await.unwrap();
    let mut waits = Box::pin(fleet.create(new(None, 60)));
    assert!(waits.as_mut().now_or_never().is_none());
    let (answer, ()) = tokio::join!(waits, fleet.shutdown());
    assert!(matches!(answer, Err(FleetError::ShuttingDown)), "{answer:?}");
}

/// Who waits for sessions that are being started is not told to delete one.
#[tokio::test]
async fn a_refusal_says_whether_others_are_being_started() {
    let may_start = Arc::new(Notify::new());
    let fake = Fake { may_start: Some(Arc::clone(&may_start)), ..Fake::default() };
    let (fleet, _) = fleet_with(fake, FleetOptions::cold(1)).await;
    let refused = async || match fleet.create(new(None, 60)).await {
        Err(FleetError::NoCapacity { limit: Limit::MaxSessions, starting, .. }) => starting,
        other => panic!("{other:?}"),
    };
    let mut first = Box::pin(fleet.create(new(None, 60)));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(refused().await);
    may_start.notify_one();
    first.await.unwrap();
    assert!(!refused().await);
    fleet.shutdown().await;
}
