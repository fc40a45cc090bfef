//! Profiles of sessions that end: saved before the session is cleared away, and what is said when not.

mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use browserd_api::browser::{EndReason, Viewport};
use browserd_api::profiles::ProfileInUse;
use browserd_api::{ProfileId, ProjectId, ProxyId};
use browserd_fleet::{
    Change, Fleet, FleetOptions, LiveSession, ProfileChoice, ProfileExporter, ProjectFleet,
    ProxyChoice, Resize, RuntimeEvent, SaveOutcome,
};
use browserd_protocol::Route;
use browserd_store::{SqliteStore, Store};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use support::full_disk::FullDisk;
use support::services::{Services, route_of};
use support::{Fake, new};

/// Saves nothing, and says what it is told to say.
#[derive(Debug)]
struct Exporter {
    /// Each save takes one of these.
    saves: Semaphore,
    outcome: Mutex<SaveOutcome>,
    asked: AtomicUsize,
}

impl Exporter {
    fn new(saves: usize, outcome: SaveOutcome) -> Arc<Self> {
        let (saves, asked) = (Semaphore::new(saves), AtomicUsize::new(0));
        Arc::new(Self { saves, outcome: Mutex::new(outcome), asked })
    }
}

/// An exporter as the fleet has it.
#[derive(Debug)]
struct Shared(Arc<Exporter>);

impl ProfileExporter for Shared {
    fn save(
        &self,
        _: LiveSession,
        _: &ProfileInUse,
    ) -> Pin<Box<dyn Future<Output = SaveOutcome> + Send>> {
        let exporter = Arc::clone(&self.0);
        exporter.asked.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            exporter.saves.acquire().await.unwrap().forget();
            exporter.outcome.lock().clone()
        })
    }
}

/// A fleet with one session, which is to save a profile when it ends.
async fn one(store: Arc<dyn Store>, exporter: &Arc<Exporter>) -> (ProjectFleet, Arc<Fake>, String) {
    let fake = Arc::new(Fake::default());
    let profile_exporter: Option<Arc<dyn ProfileExporter>> =
        Some(Arc::new(Shared(Arc::clone(exporter))));
    let options = FleetOptions { profile_exporter, ..FleetOptions::cold(1) };
    let fleet = Fleet::start(store, Arc::clone(&fake) as _, options).await.unwrap();
    let fleet = fleet.project(&ProjectId::default());
    let (made, _) = fleet.create(new(None, 60)).await.unwrap();
    let profile =
        ProfileChoice { id_or_name: ProfileId::generate().to_string(), save_changes: true };
    let change = Change { profile: Some(profile), ..Change::default() };
    fleet.change(made.id.as_str(), change, Services::new()).await.unwrap();
    (fleet, fake, made.id.to_string())
}

async fn memory() -> SqliteStore {
    SqliteStore::in_memory().await.unwrap()
}

/// What the session says of the save, once it is cleared away.
async fn save_error(fleet: &ProjectFleet, id: &str) -> Option<String> {
    fleet.shutdown().await;
    fleet.find(id, true).await.unwrap().config.profile.unwrap().save_error
}

fn counted(fleet: &ProjectFleet, outcome: &str) -> bool {
    let (mut registry, mut text) = (Registry::default(), String::new());
    fleet.metrics().register(&mut registry);
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    text.contains(&format!("browserd_profile_saves_total{{outcome=\"{outcome}\"}} 1\n"))
}

#[tokio::test]
async fn what_came_of_a_save_is_said_and_counted() {
    let full = || "the disk has no room for it".to_owned();
    for (outcome, word, error) in [
        (SaveOutcome::Saved, "saved", None),
        (SaveOutcome::Failed(full()), "failed", Some(full())),
        (
            SaveOutcome::ProfileGone,
            "profile_gone",
            Some("the profile was deleted before the session ended".to_owned()),
        ),
    ] {
        let exporter = Exporter::new(1, outcome);
        let (fleet, fake, id) = one(Arc::new(memory().await), &exporter).await;
        fleet.delete(&id).await.unwrap();
        assert_eq!(save_error(&fleet, &id).await, error);
        assert!(counted(&fleet, word), "{word}");
        assert_eq!(fake.running.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn what_the_store_does_not_take_is_recorded_later() {
    let store = Arc::new(FullDisk { store: memory().await, refusals: AtomicUsize::new(0) });
    let exporter = Exporter::new(1, SaveOutcome::Failed("no room".to_owned()));
    let (fleet, _, id) = one(Arc::clone(&store) as _, &exporter).await;
    // The end, and why the profile was not saved.
    store.refusals.store(2, Ordering::SeqCst);
    fleet.delete(&id).await.unwrap();
    assert_eq!(save_error(&fleet, &id).await.as_deref(), Some("no room"));
    assert!(fleet.find(&id, true).await.unwrap().ended.is_some());
}

#[tokio::test]
async fn a_browser_that_is_gone_is_not_asked() {
    let exporter = Exporter::new(1, SaveOutcome::Saved);
    let (fleet, fake, id) = one(Arc::new(memory().await), &exporter).await;
    let live = fleet.live(&id).unwrap();
    let events = fake.events.lock().get(live.id()).cloned().unwrap();
    let reason = EndReason::Crashed;
    events.send(RuntimeEvent::Ended { reason, detail: None }).await.unwrap();
    live.wait_gone().await;
    assert_eq!(exporter.asked.load(Ordering::SeqCst), 0);
    assert!(counted(&fleet, "failed"));
    fleet.shutdown().await;
}

#[tokio::test]
async fn a_proxy_deleted_while_a_profile_is_saved_is_not_gone_through() {
    let exporter = Exporter::new(0, SaveOutcome::Saved);
    let (fleet, fake, id) = one(Arc::new(memory().await), &exporter).await;
    let proxy = ProxyId::generate();
    let choice = Some(ProxyChoice::Id(proxy.clone()));
    let change = Change { proxy: choice, ..Change::default() };
    fleet.change(&id, change, Services::new()).await.unwrap();
    fleet.delete(&id).await.unwrap();
    // Its pages go on until it is saved.
    assert_eq!(fake.running.load(Ordering::SeqCst), 1);
    fleet.close_proxy(&proxy).await;
    assert_eq!(*fake.gateway.taken.lock(), [route_of(&proxy), Route::Closed]);
    assert_eq!(fake.running.load(Ordering::SeqCst), 1, "saving goes on");
    exporter.saves.add_permits(1);
    assert_eq!(save_error(&fleet, &id).await, None);
}

#[tokio::test]
async fn a_proxy_whose_closing_waits_when_its_session_ends_is_closed_all_the_same() {
    let exporter = Exporter::new(0, SaveOutcome::Saved);
    let (fleet, fake, id) = one(Arc::new(memory().await), &exporter).await;
    let proxy = ProxyId::generate();
    let choice = Some(ProxyChoice::Id(proxy.clone()));
    let change = Change { proxy: choice, ..Change::default() };
    fleet.change(&id, change, Services::new()).await.unwrap();
    // A change that goes on for as long as the session does.
    let services = Services::with_resizes(0);
    let viewport = Viewport { width: 800, height: 600, refresh_rate: Some(60) };
    let resize = Some(Resize { viewport, force: true });
    let slow = tokio::spawn({
        let (fleet, id, services) = (fleet.clone(), id.clone(), Arc::clone(&services));
        let change = Change { viewport: resize, ..Change::default() };
        async move { fleet.change(&id, change, services).await }
    });
    while !services.resizing() {
        tokio::task::yield_now().await;
    }
    let closing = tokio::spawn({
        let (fleet, proxy) = (fleet.clone(), proxy.clone());
        async move { fleet.close_proxy(&proxy).await }
    });
    tokio::task::yield_now().await;
    fleet.delete(&id).await.unwrap();
    closing.await.unwrap();
    assert_eq!(*fake.gateway.taken.lock(), [route_of(&proxy), Route::Closed]);
    assert_eq!(fake.running.load(Ordering::SeqCst), 1, "its profile is still being saved");
    assert!(slow.await.unwrap().is_err());
    exporter.saves.add_permits(1);
    assert_eq!(save_error(&fleet, &id).await, None);
}
