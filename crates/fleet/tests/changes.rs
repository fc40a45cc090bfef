//! Changes of running sessions: one after the other, recorded as they become true, never in the way of
//! an end.

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use browserd_api::browser::{EndReason, Viewport};
use browserd_api::{ProjectId, ProxyId, Timestamp};
use browserd_fleet::{
    Change, CommandError, Fleet, FleetError, FleetOptions, NewSession, ProjectFleet, ProxyChoice,
    Resize, SessionView, StepError,
};
use browserd_protocol::Route;
use browserd_store::{ProxyRow, SqliteStore, Store};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

use support::services::{Services, refusal, route_of, upstream};
use support::{Fake, fleet, new};

fn proxied(choice: ProxyChoice) -> Change {
    Change { proxy: Some(choice), ..Change::default() }
}

fn sized(width: u32) -> Change {
    let viewport = Viewport { width, height: 600, refresh_rate: Some(60) };
    Change { viewport: Some(Resize { viewport, force: true }), ..Change::default() }
}

fn tagged(value: &str) -> Change {
    let tags = BTreeMap::from([("tag".to_owned(), value.to_owned())]);
    Change { tags: Some(tags), ..Change::default() }
}

fn unanswered() -> CommandError {
    CommandError::Unanswered(Duration::from_secs(5))
}

async fn one(fake: Fake) -> (ProjectFleet, Arc<Fake>, String) {
    let (fleet, fake) = fleet(fake, 4).await;
    let (made, _) = fleet.create(new(Some("one"), 60)).await.unwrap();
    (fleet, fake, made.id.to_string())
}

/// A change under way.
fn changing(
    fleet: &ProjectFleet,
    id: &str,
    change: Change,
    services: &Arc<Services>,
) -> JoinHandle<Result<SessionView, FleetError>> {
    let (fleet, id, services) = (fleet.clone(), id.to_owned(), Arc::clone(services));
    tokio::spawn(async move { fleet.change(&id, change, services).await })
}

/// Lets everything else go on until `done`.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn changes_at_once_are_one_after_the_other() {
    let (fleet, fake, id) = one(Fake::default()).await;
    let services = Services::new();
    let proxies = [ProxyId::generate(), ProxyId::generate()];
    for _ in 0..25 {
        let mut storm = JoinSet::new();
        for n in 0..8 {
            let choice = match n % 3 {
                2 => ProxyChoice::Direct,
                n => ProxyChoice::Id(proxies[n].clone()),
            };
            let change = Change { proxy: Some(choice), ..sized(800 + n as u32) };
            let (fleet, id, services) = (fleet.clone(), id.clone(), Arc::clone(&services));
            storm.spawn(async move { fleet.change(&id, change, services).await.unwrap() });
        }
        let changed = storm.join_all().await;
        assert_eq!(changed.len(), 8);
        let config = fleet.find(&id, false).await.unwrap().config;
        let in_force = fake.gateway.taken.lock().last().cloned();
        let on_record = config.proxy.as_ref().map_or(Route::Direct, route_of);
        assert_eq!(in_force, Some(on_record));
        assert_eq!(services.sizes.lock().last(), Some(&config.viewport));
    }
    fleet.shutdown().await;
}

#[tokio::test]
async fn an_end_waits_for_no_change() {
    let (fleet, fake, id) = one(Fake::default()).await;
    let services = Services::with_resizes(0);
    let under_way = changing(&fleet, &id, sized(800), &services);
    let behind = changing(&fleet, &id, tagged("later"), &services);
    tokio::task::yield_now().await;
    fleet.delete(&id).await.unwrap();
    for change in [under_way, behind] {
        let over = change.await.unwrap();
        assert!(matches!(over, Err(FleetError::Ended { .. })), "{over:?}");
    }
    let row = fleet.find(&id, true).await.unwrap();
    assert_eq!(row.ended.unwrap().1, EndReason::Deleted);
    assert!(row.tags.is_empty());
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn so_many_may_wait_and_no_more() {
    let (fleet, _, id) = one(Fake::default()).await;
    let services = Services::with_resizes(0);
    let first = changing(&fleet, &id, sized(800), &services);
    let mut others = JoinSet::new();
    for n in 0..40 {
        let (fleet, id, services) = (fleet.clone(), id.clone(), Arc::clone(&services));
        others.spawn(async move { fleet.change(&id, tagged(&n.to_string()), services).await });
    }
    // One is under way, 32 wait, and the rest hear at once that they do not.
    let mut refused = 0;
    while refused < 8 {
        let change = others.join_next().await.unwrap().unwrap();
        assert!(matches!(change, Err(FleetError::Busy)), "{change:?}");
        refused += 1;
    }
    services.resizes.add_permits(1);
    first.await.unwrap().unwrap();
    assert!(others.join_all().await.into_iter().all(|change| change.is_ok()));
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_change_nobody_waits_for_any_more_is_not_begun() {
    let (fleet, _, id) = one(Fake::default()).await;
    let services = Services::with_resizes(0);
    let first = changing(&fleet, &id, sized(800), &services);
    tokio::task::yield_now().await;
    let given_up = changing(&fleet, &id, tagged("given up"), &services);
    // Its command is sent, and the actor has it.
    let asked = changing(&fleet, &id, Change::default(), &services);
    tokio::task::yield_now().await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    services.resizes.add_permits(1);
    first.await.unwrap().unwrap();
    assert!(asked.await.unwrap().unwrap().tags.is_empty());
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_change_that_was_begun_is_made_to_its_end() {
    let (fleet, _, id) = one(Fake::default()).await;
    let services = Services::with_resizes(0);
    let begun = changing(
        &fleet,
        &id,
        Change { start_url: Some("about:x".into()), ..sized(800) },
        &services,
    );
    until(|| services.resizing()).await;
    begun.abort();
    assert!(begun.await.unwrap_err().is_cancelled());
    services.resizes.add_permits(1);
    let row = fleet.change(&id, Change::default(), Services::new()).await.unwrap();
    assert_eq!(
        (row.config.viewport.width, row.config.start_url.as_deref()),
        (800, Some("about:x"))
    );
    fleet.shutdown().await;
}

#[tokio::test]
async fn where_a_step_fails_the_earlier_ones_stay() {
    let (fleet, _, id) = one(Fake::default()).await;
    let services = Services::new();
    services.answers.lock().push_back(Err(StepError { refusal: refusal(), maybe_done: false }));
    let change =
        Change { start_url: Some("about:x".into()), tags: tagged("kept").tags, ..sized(800) };
    let refused = fleet.change(&id, change, Arc::clone(&services) as _).await;
    assert!(matches!(refused, Err(FleetError::Refused(_))), "{refused:?}");
    let row = fleet.find(&id, false).await.unwrap();
    assert_eq!(row.tags["tag"], "kept");
    assert_ne!(row.config.viewport.width, 800);
    assert!(services.opened.lock().is_empty() && services.sizes.lock().is_empty());
    // What cannot be is refused before anything is done.
    let change = Change { proxy: Some(ProxyChoice::Name("x".into())), ..tagged("not kept") };
    assert!(fleet.change(&id, change, services).await.is_err());
    assert_eq!(fleet.find(&id, false).await.unwrap().tags["tag"], "kept");
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_size_that_may_have_changed_is_put_back() {
    let (fleet, _, id) = one(Fake::default()).await;
    let services = Services::new();
    let before = fleet.find(&id, false).await.unwrap().config.viewport;
    services.answers.lock().push_back(Err(StepError { refusal: refusal(), maybe_done: true }));
    assert!(fleet.change(&id, sized(800), Arc::clone(&services) as _).await.is_err());
    assert_eq!(services.sizes.lock().last(), Some(&before));
    assert_eq!(fleet.find(&id, false).await.unwrap().config.viewport, before);
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_route_that_is_refused_changes_nothing() {
    let (fleet, fake, id) = one(Fake::default()).await;
    fake.gateway.answers.lock().push_back(Err(CommandError::Refused("no such host".into())));
    let choice = ProxyChoice::Id(ProxyId::generate());
    let refused = fleet.change(&id, proxied(choice), Services::new()).await;
    assert!(matches!(refused, Err(FleetError::NotRouted(CommandError::Refused(_)))), "{refused:?}");
    assert_eq!(fleet.find(&id, false).await.unwrap().config.proxy, None);
    assert!(fake.gateway.taken.lock().is_empty());
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_gateway_that_did_not_answer_is_put_back_on_the_route_on_record() {
    let (fleet, fake, id) = one(Fake::default()).await;
    let (first, second) = (ProxyId::generate(), ProxyId::generate());
    let choice = ProxyChoice::Id(first.clone());
    fleet.change(&id, proxied(choice), Services::new()).await.unwrap();
    fake.gateway.answers.lock().push_back(Err(unanswered()));
    let choice = ProxyChoice::Id(second);
    let refused = fleet.change(&id, proxied(choice), Services::new()).await;
    assert!(matches!(refused, Err(FleetError::NotRouted(_))), "{refused:?}");
    assert_eq!(fleet.find(&id, false).await.unwrap().config.proxy, Some(first.clone()));
    assert_eq!(*fake.gateway.taken.lock(), [route_of(&first), route_of(&first)]);
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_session_whose_route_is_not_known_ends() {
    let (fleet, fake, id) = one(Fake::default()).await;
    *fake.gateway.answers.lock() = VecDeque::from([Err(unanswered()), Err(unanswered())]);
    let choice = ProxyChoice::Id(ProxyId::generate());
    let lost = fleet.change(&id, proxied(choice), Services::new()).await;
    assert!(matches!(lost, Err(FleetError::Ended { .. })), "{lost:?}");
    let (_, reason, detail) = fleet.find(&id, true).await.unwrap().ended.unwrap();
    assert_eq!(reason, EndReason::Crashed);
    assert!(detail.unwrap().contains("not known which egress route"));
    fleet.shutdown().await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_deleted_proxy_is_found_where_it_is_just_being_taken() {
    let (fleet, fake, id) = one(Fake::default()).await;
    let (other, _) = fleet.create(new(None, 60)).await.unwrap();
    let services = Services::with_resizes(0);
    let proxy = ProxyId::generate();
    // The change is under way, and has taken the proxy.
    let change = Change { proxy: Some(ProxyChoice::Id(proxy.clone())), ..sized(800) };
    let taking = changing(&fleet, &id, change, &services);
    until(|| services.resizing()).await;
    let closing = tokio::spawn({
        let (fleet, proxy) = (fleet.clone(), proxy.clone());
        async move { fleet.close_proxy(&proxy).await }
    });
    // Others are not held up by it.
    fleet.change(other.id.as_str(), tagged("at once"), Services::new()).await.unwrap();
    assert!(!closing.is_finished());
    services.resizes.add_permits(1);
    taking.await.unwrap().unwrap();
    closing.await.unwrap();
    assert_eq!(*fake.gateway.taken.lock(), [route_of(&proxy), Route::Closed]);
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_session_whose_gateway_cannot_be_closed_ends() {
    let (fleet, fake, id) = one(Fake::default()).await;
    let proxy = ProxyId::generate();
    let choice = ProxyChoice::Id(proxy.clone());
    fleet.change(&id, proxied(choice), Services::new()).await.unwrap();
    *fake.gateway.answers.lock() = VecDeque::from([Err(unanswered()), Err(unanswered())]);
    fleet.close_proxy(&proxy).await;
    assert_eq!(fake.running.load(Ordering::SeqCst), 0, "it was gone before anyone was answered");
    let (_, reason, _) = fleet.find(&id, true).await.unwrap().ended.unwrap();
    assert_eq!(reason, EndReason::Crashed);
    fleet.shutdown().await;
}

/// A fleet whose store has a proxy, and a session that is to go through it.
async fn with_proxy(fake: Fake) -> (ProjectFleet, Arc<Fake>, Arc<dyn Store>, NewSession) {
    let fake = Arc::new(fake);
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.unwrap());
    let options = FleetOptions::cold(4);
    let fleet = Fleet::start(Arc::clone(&store), Arc::clone(&fake) as _, options).await;
    let id = ProxyId::generate();
    let row = ProxyRow {
        id: id.clone(),
        name: None,
        upstream: upstream(id.as_str()),
        created_at: Timestamp::now(),
        checked: None,
    };
    let project = ProjectId::default();
    store.rows(&project).insert(&row).await.unwrap();
    let mut session = new(None, 60);
    session.route = route_of(&id);
    session.config.proxy = Some(id);
    (fleet.unwrap().project(&project), fake, store, session)
}

#[tokio::test]
async fn a_session_does_not_begin_with_a_proxy_that_is_gone() {
    let (fleet, fake, store, session) = with_proxy(Fake::default()).await;
    fleet.create(session.clone()).await.unwrap();
    let proxy = session.config.proxy.as_ref().unwrap();
    store.rows::<ProxyRow>(&ProjectId::default()).delete(proxy).await.unwrap();
    let refused = fleet.create(session).await;
    assert!(matches!(refused, Err(FleetError::ProxyGone(_))), "{refused:?}");
    assert_eq!(fake.started_now.load(Ordering::SeqCst), 1);
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_proxy_that_goes_while_a_session_starts_is_closed_before_anyone_is_answered() {
    let may_start = Arc::new(Notify::new());
    let fake = Fake { may_start: Some(Arc::clone(&may_start)), ..Fake::default() };
    let (fleet, fake, store, session) = with_proxy(fake).await;
    let proxy = session.config.proxy.clone().unwrap();
    let creating = tokio::spawn({
        let fleet = fleet.clone();
        async move { fleet.create(session).await }
    });
    let all = || browserd_fleet::ListSessions { limit: 1, ..Default::default() };
    while fleet.list(all()).await.unwrap().items.is_empty() {
        tokio::task::yield_now().await;
    }
    store.rows::<ProxyRow>(&ProjectId::default()).delete(&proxy).await.unwrap();
    let closing = tokio::spawn({
        let fleet = fleet.clone();
        async move { fleet.close_proxy(&proxy).await }
    });
    tokio::task::yield_now().await;
    may_start.notify_one();
    closing.await.unwrap();
    assert_eq!(*fake.gateway.taken.lock(), [Route::Closed]);
    creating.await.unwrap().unwrap();
    fleet.shutdown().await;
}
