//! A session's whole life, with a runtime made of channels and a real store.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use browserd_api::browser::{EndReason, StatusFilter};
use browserd_api::{ProjectId, SessionId, Timestamp};
use browserd_fleet::{Change, Fleet, FleetError, FleetOptions, Limit, ListSessions, RuntimeEvent};
use browserd_store::{SessionRow, SqliteStore, Store};
use tokio::sync::Notify;

use support::full_disk::FullDisk;
use support::services::Services;
use support::{Fake, fleet, fleet_with, new};

#[tokio::test]
async fn delete_shuts_clients_out_at_once_and_may_be_repeated() {
    let slow = Arc::new(Notify::new());
    let (fleet, fake) =
        fleet(Fake { slow_end: Some(Arc::clone(&slow)), ..Fake::default() }, 1).await;
    let (made, _) = fleet.create(new(Some("one"), 60)).await.unwrap();
    let live = fleet.live("one").unwrap();
    assert_eq!(live.id(), &made.id);

    fleet.delete("one").await.unwrap();
    assert!(fleet.live(made.id.as_str()).is_err());
    match fleet.reach("one").await.err() {
        Some(FleetError::Ended { id, end, .. }) => {
            assert_eq!((id, end.reason), (made.id.clone(), EndReason::Deleted));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(fleet.reach("two").await, Err(FleetError::NotFound(_))));
    assert_eq!(live.ended(), Some(EndReason::Deleted));
    assert!(matches!(fleet.find("one", false).await, Err(FleetError::Ended { .. })));
    let row = fleet.find(made.id.as_str(), true).await.unwrap();
    assert_eq!(row.ended.unwrap().1, EndReason::Deleted);
    fleet.delete(made.id.as_str()).await.unwrap();

    // The permit is held until nothing of the session is left.
    assert!(matches!(
        fleet.create(new(None, 60)).await,
        Err(FleetError::NoCapacity { limit: Limit::MaxSessions, .. })
    ));
    assert_eq!(fake.running.load(Ordering::SeqCst), 1);
    slow.notify_waiters();
    slow.notify_one();
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn idle_sessions_time_out_and_used_ones_do_not() {
    let (fleet, _) = fleet(Fake::default(), 4).await;
    let (idle, _) = fleet.create(new(None, 1)).await.unwrap();
    let (used, _) = fleet.create(new(None, 1)).await.unwrap();
    let use_of_it = fleet.live(used.id.as_str()).unwrap().activity();
    let idle = fleet.live(idle.id.as_str()).unwrap();
    assert_eq!(idle.wait_end().await, EndReason::TimedOut);
    let used = fleet.live(used.id.as_str()).unwrap();
    assert_eq!(used.ended(), None);
    drop(use_of_it);
    assert_eq!(used.wait_end().await, EndReason::TimedOut);
}

#[tokio::test]
async fn a_failed_start_is_told_and_recorded() {
    let (fleet, _) = fleet(Fake { fails: true, ..Fake::default() }, 1).await;
    let error = fleet.create(new(None, 60)).await.unwrap_err();
    assert!(error.to_string().contains("no chromium today"), "{error}");
    let filter = ListSessions { status: StatusFilter::Deleted, limit: 10, ..Default::default() };
    let page = fleet.list(filter).await.unwrap();
    let (_, reason, detail) = page.items[0].ended.clone().unwrap();
    assert_eq!((reason, detail.as_deref()), (EndReason::FailedToStart, Some("no chromium today")));
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing() {
    let may_start = Arc::new(Notify::new());
    let (fleet, fake) =
        fleet(Fake { may_start: Some(Arc::clone(&may_start)), ..Fake::default() }, 1).await;
    let creating = tokio::spawn({
        let fleet = fleet.clone();
        async move { fleet.create(new(None, 60)).await }
    });
    let filter = || ListSessions { limit: 10, ..Default::default() };
    while fleet.list(filter()).await.unwrap().items.is_empty() {
        tokio::task::yield_now().await;
    }
    creating.abort();
    while !fleet.list(filter()).await.unwrap().items.is_empty() {
        tokio::task::yield_now().await;
    }
    may_start.notify_one();
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn names_are_unique_among_running_sessions_only() {
    let (fleet, _) = fleet(Fake::default(), 4).await;
    let (first, _) = fleet.create(new(Some("a"), 60)).await.unwrap();
    assert!(matches!(fleet.create(new(Some("a"), 60)).await, Err(FleetError::NameTaken { .. })));
    let rename = Change { name: Some(Some("b".to_owned())), ..Change::default() };
    fleet.change("a", rename, Services::new()).await.unwrap();
    assert!(fleet.live("a").is_err());
    assert_eq!(fleet.live("b").unwrap().id(), &first.id);
    let (second, _) = fleet.create(new(Some("a"), 60)).await.unwrap();
    fleet.delete("b").await.unwrap();
    let rename = Change { name: Some(Some("b".to_owned())), ..Change::default() };
    assert_eq!(fleet.change("a", rename, Services::new()).await.unwrap().id, second.id);
    fleet.shutdown().await;
    assert!(fleet.active().is_empty());
}

#[tokio::test]
async fn what_the_runtime_says_of_an_end_is_what_is_recorded() {
    let (fleet, fake) = fleet(Fake::default(), 1).await;
    let (made, _) = fleet.create(new(None, 60)).await.unwrap();
    let live = fleet.live(made.id.as_str()).unwrap();
    let events = fake.events.lock().get(&made.id).cloned().unwrap();
    let ended =
        RuntimeEvent::Ended { reason: EndReason::OutOfMemory, detail: Some("killed".to_owned()) };
    events.send(ended).await.unwrap();
    assert_eq!(live.wait_end().await, EndReason::OutOfMemory);
    // The row is written after clients are told; shutdown waits for the actor, which writes it.
    fleet.shutdown().await;
    let (_, reason, detail) = fleet.find(made.id.as_str(), true).await.unwrap().ended.unwrap();
    assert_eq!((reason, detail.as_deref()), (EndReason::OutOfMemory, Some("killed")));
}

#[tokio::test]
async fn an_end_during_creation_is_told_for_what_it_is() {
    let may_start = Arc::new(Notify::new());
    let (fleet, fake) =
        fleet(Fake { may_start: Some(Arc::clone(&may_start)), ..Fake::default() }, 2).await;
    let create = |name: &'static str| {
        let fleet = fleet.clone();
        tokio::spawn(async move { fleet.create(new(Some(name), 60)).await })
    };
    let (deleted, shut_down) = (create("deleted"), create("shut-down"));
    for name in ["deleted", "shut-down"] {
        while fleet.find(name, false).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
    fleet.delete("deleted").await.unwrap();
    assert!(matches!(deleted.await.unwrap(), Err(FleetError::EndedMeanwhile)));
    let ending = tokio::spawn({
        let fleet = fleet.clone();
        async move { fleet.shutdown().await }
    });
    assert!(matches!(shut_down.await.unwrap(), Err(FleetError::ShuttingDown)));
    may_start.notify_one();
    may_start.notify_one();
    while !ending.is_finished() {
        may_start.notify_waiters();
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_session_that_is_stuck_ends_for_those_who_wait_for_it() {
    let ping_every = Duration::from_millis(10);
    let options = FleetOptions { ping_every, ..FleetOptions::cold(2) };
    let (fleet, fake) = fleet_with(Fake::default(), options).await;
    let (idle, _) = fleet.create(new(None, 60)).await.unwrap();
    let (used, _) = fleet.create(new(None, 60)).await.unwrap();
    let live = fleet.live(used.id.as_str()).unwrap();
    let _use_of_it = live.activity();
    fake.pings.missed.store(usize::MAX, Ordering::SeqCst);
    assert_eq!(live.wait_end().await, EndReason::Crashed);
    live.wait_gone().await;
    let row = fleet.find(used.id.as_str(), true).await.unwrap();
    let (_, reason, detail) = row.ended.unwrap();
    assert_eq!(reason, EndReason::Crashed);
    assert!(detail.as_deref().is_some_and(|why| why.contains("did not answer")), "{detail:?}");
    // Nobody waits for the other one, so nobody asks it.
    assert_eq!(fleet.live(idle.id.as_str()).unwrap().ended(), None);
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_session_that_answers_now_and_then_goes_on() {
    let ping_every = Duration::from_millis(1);
    let options = FleetOptions { ping_every, ..FleetOptions::cold(1) };
    let (fleet, fake) = fleet_with(Fake::default(), options).await;
    let (made, _) = fleet.create(new(None, 60)).await.unwrap();
    let live = fleet.live(made.id.as_str()).unwrap();
    let _use_of_it = live.activity();
    fake.pings.missed.store(3, Ordering::SeqCst);
    while fake.pings.asked.load(Ordering::SeqCst) < 20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(live.ended(), None);
    fleet.shutdown().await;
}

#[tokio::test]
async fn an_end_the_store_refuses_is_recorded_later() {
    let store = SqliteStore::in_memory().await.unwrap();
    let store = Arc::new(FullDisk { store, refusals: AtomicUsize::new(2) });
    let fake = Arc::new(Fake::default());
    let fleet =
        Fleet::start(Arc::clone(&store) as _, Arc::clone(&fake) as _, FleetOptions::cold(1))
            .await
            .unwrap()
            .project(&ProjectId::default());
    let (made, _) = fleet.create(new(Some("one"), 60)).await.unwrap();
    fleet.delete("one").await.unwrap();
    // Over for clients at once; recorded when the disk has room again.
    assert!(fleet.live("one").is_err());
    fleet.shutdown().await;
    let row = fleet.find(made.id.as_str(), true).await.unwrap();
    assert_eq!(row.ended.unwrap().1, EndReason::Deleted);
}

#[tokio::test]
async fn what_has_ended_is_over_before_its_row_says_so() {
    let store = SqliteStore::in_memory().await.unwrap();
    let store = Arc::new(FullDisk { store, refusals: AtomicUsize::new(usize::MAX) });
    let fake = Arc::new(Fake::default());
    let project = ProjectId::default();
    let fleet =
        Fleet::start(Arc::clone(&store) as _, Arc::clone(&fake) as _, FleetOptions::cold(1))
            .await
            .unwrap()
            .project(&project);
    let (made, _) = fleet.create(new(Some("one"), 60)).await.unwrap();
    let running = ListSessions { status: StatusFilter::Active, limit: 9, ..Default::default() };
    let all = ListSessions { status: StatusFilter::All, ..running.clone() };
    fleet.delete("one").await.unwrap();
    for _ in 0..2 {
        assert!(matches!(fleet.find("one", false).await, Err(FleetError::Ended { .. })));
        assert_eq!(fleet.list(running.clone()).await.unwrap().items, []);
        assert_eq!(
            fleet.list(all.clone()).await.unwrap().items[0].ended.clone().unwrap().1,
            EndReason::Deleted
        );
        let row = fleet.find(made.id.as_str(), true).await.unwrap();
        assert_eq!(row.ended.unwrap().1, EndReason::Deleted);
        fleet.delete(made.id.as_str()).await.unwrap();
        // Also once nothing is left of it.
        while fake.running.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    }
    let kept = async || {
        let rows = (&*store as &dyn Store).rows::<SessionRow>(&project).by_id(&made.id).await;
        rows.unwrap().unwrap().ended
    };
    assert_eq!(kept().await, None);
    store.refusals.store(0, Ordering::SeqCst);
    while kept().await.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(kept().await.unwrap().1, EndReason::Deleted);
    // The name is free.
    fleet.create(new(Some("one"), 60)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_its_store() {
    let store = SqliteStore::in_memory().await.unwrap();
    let store = Arc::new(FullDisk { store, refusals: AtomicUsize::new(usize::MAX) });
    let fleet =
        Fleet::start(Arc::clone(&store) as _, Arc::new(Fake::default()), FleetOptions::cold(1))
            .await
            .unwrap()
            .project(&ProjectId::default());
    let (made, _) = fleet.create(new(Some("one"), 60)).await.unwrap();
    fleet.shutdown().await;
    let row = fleet.find(made.id.as_str(), true).await.unwrap();
    assert_eq!(row.ended.unwrap().1, EndReason::ServerShutdown);
}

#[tokio::test]
async fn sessions_of_one_project_are_not_in_another() {
    let (mine, _) = fleet(Fake::default(), 4).await;
    let theirs = mine.project(&ProjectId::generate());
    let (made, _) = mine.create(new(Some("one"), 60)).await.unwrap();
    for id_or_name in ["one", made.id.as_str()] {
        assert!(theirs.live(id_or_name).is_err());
        assert!(matches!(theirs.find(id_or_name, true).await, Err(FleetError::NotFound(_))));
        let changed = theirs.change(id_or_name, Change::default(), Services::new()).await;
        assert!(matches!(changed, Err(FleetError::NotFound(_))));
        assert!(matches!(theirs.delete(id_or_name).await, Err(FleetError::NotFound(_))));
    }
    let all = ListSessions { status: StatusFilter::All, limit: 9, ..ListSessions::default() };
    assert!(theirs.list(all.clone()).await.unwrap().items.is_empty());

    // The name is free there, and means another session.
    let (twin, _) = theirs.create(new(Some("one"), 60)).await.unwrap();
    assert_eq!(mine.live("one").unwrap().id(), &made.id);
    assert_eq!(theirs.live("one").unwrap().id(), &twin.id);
    theirs.delete("one").await.unwrap();
    assert_eq!(mine.live("one").unwrap().id(), &made.id);
    assert_eq!(mine.list(all).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn sessions_that_ended_long_ago_are_forgotten() {
    let store = Arc::new(SqliteStore::in_memory().await.unwrap());
    let project = ProjectId::default();
    let rows = (&*store as &dyn Store).rows::<SessionRow>(&project);
    let now = Timestamp::now().as_micros();
    let day = 24 * 3600 * 1_000_000;
    // More than one step takes.
    let ages = std::iter::repeat_n(3 * day, 250).chain([day / 2]);
    let mut kept = None;
    for age in ages {
        let row = SessionRow {
            id: SessionId::generate(),
            name: None,
            tags: BTreeMap::new(),
            config: new(None, 60).config,
            created_at: Timestamp::from_micros(now - age),
            ended: Some((Timestamp::from_micros(now - age), EndReason::Deleted, None)),
        };
        rows.insert(&row).await.unwrap();
        kept = Some(row.id);
    }
    let options =
        FleetOptions { remembered: Some(Duration::from_secs(24 * 3600)), ..FleetOptions::cold(1) };
    let fake = Arc::new(Fake::default());
    let fleet = Fleet::start(Arc::clone(&store) as _, fake as _, options).await.unwrap();
    let all = ListSessions { status: StatusFilter::All, limit: 300, ..ListSessions::default() };
    let left = loop {
        let (left, _) = rows.list(&all).await.unwrap();
        if left.len() <= 1 {
            break left;
        }
    };
    assert_eq!(left.into_iter().map(|row| row.id).collect::<Vec<_>>(), Vec::from_iter(kept));
    fleet.shutdown().await;
}
