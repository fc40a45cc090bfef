//! A row's life.

use browserd_api::browser::{EndReason, LocationRequest, Memory, Region, SessionConfig, Viewport};
use browserd_api::profiles::ProfileInUse;
use browserd_api::{ProfileId, ProxyId, ReplayId, SessionId};

use serde_json::json;

use super::{at, default_project, insert, named, read, rename, running, sessions, tags};
use crate::{Filter, ReplayRow, SessionPatch, SessionRow, Store, StoreError};

pub(super) async fn a_row_comes_back_as_it_went_in(store: &dyn Store) {
    let policy = json!({"URLBlocklist": ["*"], "nested": {"a": [1, 2.5, null, "é\u{0}"]}});
    let full = SessionRow {
        name: Some("Grüße 世界 'quoted' \"twice\"".to_owned()),
        tags: tags(&[("team", "a,b"), ("", "empty key"), ("zero", "a\u{0}b"), ("日本", "\\\"'")]),
        config: SessionConfig {
            headless: false,
            viewport: Viewport { width: 7680, height: 4320, refresh_rate: None },
            kiosk_mode: true,
            stealth: true,
            start_url: Some("https://example.com/?q=1#x".to_owned()),
            location: LocationRequest {
                timezone: Some("Europe/Paris".to_owned()),
                locale: Some("fr-FR".to_owned()),
            },
            chrome_policy: policy.as_object().cloned(),
            memory: Memory::Gib16,
            region: Region::ApSoutheast,
            timeout_seconds: 259_200,
            proxy: Some(ProxyId::generate()),
            profile: Some(in_use()),
        },
        ..running(123_457)
    };
    let ended = SessionRow {
        ended: Some((at(99), EndReason::OutOfMemory, Some("why".to_owned()))),
        ..running(7)
    };
    for row in [&full, &ended, &running(-5)] {
        insert(store, row).await;
        assert_eq!(&read(store, &row.id).await, row);
    }
    let (rows, _) = sessions(store)
        .list(&Filter { limit: 10, ..Filter::default() })
        .await
        .expect("the store answers");
    let mut shown = full;
    shown.config.chrome_policy = None;
    assert!(rows.contains(&shown), "a listing gives whole rows, but for their policies");
}

pub(super) async fn an_id_is_used_once(store: &dyn Store) {
    let first = named(1, "first");
    insert(store, &first).await;
    let second = SessionRow { name: Some("second".to_owned()), ..first.clone() };
    let refusal = sessions(store).insert(&second).await;
    assert!(matches!(refusal, Err(StoreError::Database(_))), "{refusal:?}");
    assert_eq!(read(store, &first.id).await, first);
}

pub(super) async fn what_is_not_there_is_none(store: &dyn Store) {
    let id = SessionId::generate();
    assert_eq!(sessions(store).by_id(&id).await.expect("the store answers"), None);
    assert_eq!(sessions(store).by_name("nobody").await.expect("the store answers"), None);
    let end = sessions(store).end(&id, at(1), EndReason::Deleted, None).await;
    assert!(matches!(end, Err(StoreError::NotFound)), "{end:?}");
    let update = sessions(store).patch(&id, &rename(None)).await;
    assert!(matches!(update, Err(StoreError::NotFound)), "{update:?}");
}

pub(super) async fn an_update_changes_what_it_names(store: &dyn Store) {
    let mut row = SessionRow { tags: tags(&[("a", "1")]), ..named(1, "old") };
    let other = SessionRow { tags: tags(&[("a", "1")]), ..named(2, "other") };
    insert(store, &row).await;
    insert(store, &other).await;

    let mut update = async |name: Option<Option<&str>>, new_tags| {
        let name = name.map(|name| name.map(str::to_owned));
        if let Some(name) = &name {
            row.name.clone_from(name);
        }
        if let Some(new_tags) = &new_tags {
            row.tags.clone_from(new_tags);
        }
        let patch = SessionPatch { name, tags: new_tags, ..SessionPatch::default() };
        let answer = sessions(store).patch(&row.id, &patch).await.expect("nothing in the way");
        assert_eq!(answer, row);
        assert_eq!(read(store, &row.id).await, row);
    };
    update(None, None).await;
    update(Some(Some("new")), None).await;
    update(None, Some(tags(&[("b", "2"), ("c", "3")]))).await;
    update(Some(Some("new")), None).await;
    update(Some(None), Some(tags(&[]))).await;
    update(Some(Some("both")), Some(tags(&[("d", "4")]))).await;
    assert_eq!(read(store, &other.id).await, other, "other rows stay as they are");

    sessions(store).end(&row.id, at(5), EndReason::Deleted, None).await.expect("it runs");
    let late = sessions(store).patch(&row.id, &rename(None)).await;
    assert!(
        matches!(late, Err(StoreError::NotFound)),
        "an ended session does not change: {late:?}"
    );
    assert_eq!(read(store, &row.id).await.name.as_deref(), Some("both"));
}

fn in_use() -> ProfileInUse {
    let name = Some("shop-1".to_owned());
    let id = ProfileId::generate();
    ProfileInUse { id, name, created_at: at(1), save_changes: true, save_error: None }
}

pub(super) async fn why_a_profile_was_not_saved_is_recorded(store: &dyn Store) {
    let (mut row, plain) = (running(1), running(2));
    row.config.profile = Some(in_use());
    for row in [&row, &plain] {
        insert(store, row).await;
        sessions(store).end(&row.id, at(5), EndReason::Deleted, None).await.expect("it runs");
        // Also after the end, which stays what it was.
        sessions(store).profile_not_saved(&row.id, "the disk is full").await.expect("it is there");
    }
    row.ended = Some((at(5), EndReason::Deleted, None));
    if let Some(profile) = &mut row.config.profile {
        profile.save_error = Some("the disk is full".to_owned());
    }
    assert_eq!(read(store, &row.id).await, row);
    assert_eq!(read(store, &plain.id).await.config.profile, None, "it had none");
    let nobody = sessions(store).profile_not_saved(&running(3).id, "x").await;
    assert!(matches!(nobody, Err(StoreError::NotFound)), "{nobody:?}");
}

pub(super) async fn settings_change_one_by_one(store: &dyn Store) {
    let mut row = running(1);
    row.config.chrome_policy =
        json!({"HomepageLocation": "about:blank", "Odd": null}).as_object().cloned();
    insert(store, &row).await;
    let mut update = async |patch: SessionPatch| {
        if let Some(viewport) = patch.viewport {
            row.config.viewport = viewport;
        }
        if let Some(timezone) = &patch.timezone {
            row.config.location.timezone.clone_from(timezone);
        }
        if let Some(locale) = &patch.locale {
            row.config.location.locale.clone_from(locale);
        }
        if let Some(url) = &patch.start_url {
            row.config.start_url = Some(url.clone());
        }
        if let Some(seconds) = patch.timeout_seconds {
            row.config.timeout_seconds = seconds;
        }
        if let Some(profile) = &patch.profile {
            row.config.profile = Some(profile.clone());
        }
        if let Some(proxy) = &patch.proxy {
            row.config.proxy.clone_from(proxy);
        }
        let answer = sessions(store).patch(&row.id, &patch).await.expect("nothing in the way");
        assert_eq!(answer, row);
        assert_eq!(read(store, &row.id).await, row);
    };
    let viewport = |refresh_rate| Some(Viewport { width: 800, height: 600, refresh_rate });
    update(SessionPatch { viewport: viewport(Some(10)), ..SessionPatch::default() }).await;
    update(SessionPatch { viewport: viewport(None), ..SessionPatch::default() }).await;
    let text = |text: &str| Some(Some(text.to_owned()));
    update(SessionPatch { timezone: text("Asia/Tokyo"), ..SessionPatch::default() }).await;
    update(SessionPatch { locale: text("de-DE"), ..SessionPatch::default() }).await;
    update(SessionPatch { timezone: Some(None), locale: text("fr"), ..SessionPatch::default() })
        .await;
    update(SessionPatch { locale: Some(None), ..SessionPatch::default() }).await;
    let url = Some("https://example.com/?q='\"".to_owned());
    update(SessionPatch { start_url: url, ..SessionPatch::default() }).await;
    let proxy = Some(Some(ProxyId::generate()));
    update(SessionPatch { proxy, ..SessionPatch::default() }).await;
    update(SessionPatch { profile: Some(in_use()), ..SessionPatch::default() }).await;
    update(SessionPatch { proxy: Some(None), ..SessionPatch::default() }).await;
    update(SessionPatch { timeout_seconds: Some(77), ..SessionPatch::default() }).await;
}

pub(super) async fn the_first_end_stands(store: &dyn Store) {
    const REASONS: [EndReason; 7] = [
        EndReason::Deleted,
        EndReason::TimedOut,
        EndReason::Crashed,
        EndReason::OutOfMemory,
        EndReason::FailedToStart,
        EndReason::ServerShutdown,
        EndReason::HostLost,
    ];
    for reason in REASONS {
        let row = running(1);
        insert(store, &row).await;
        sessions(store).end(&row.id, at(10), reason, Some("first")).await.expect("it runs");
        sessions(store).end(&row.id, at(20), EndReason::Deleted, None).await.expect("no refusal");
        let ended = Some((at(10), reason, Some("first".to_owned())));
        assert_eq!(read(store, &row.id).await, SessionRow { ended, ..row });
    }
    let plain = running(2);
    insert(store, &plain).await;
    sessions(store).end(&plain.id, at(30), EndReason::Deleted, None).await.expect("it runs");
    assert_eq!(read(store, &plain.id).await.ended, Some((at(30), EndReason::Deleted, None)));
}

pub(super) async fn all_running_sessions_end(store: &dyn Store) {
    let rows = [running(1), with_policy(named(2, "kept")), running(3)];
    for row in &rows {
        insert(store, row).await;
    }
    sessions(store).end(&rows[0].id, at(5), EndReason::Deleted, None).await.expect("it runs");
    let lost = |detail| async move {
        store.everywhere::<SessionRow>().end_all(at(9), EndReason::HostLost, detail).await
    };
    assert_eq!(lost(Some("gone")).await.expect("the store answers"), 2);
    assert_eq!(lost(None).await.expect("the store answers"), 0);
    assert_eq!(read(store, &rows[0].id).await.ended, Some((at(5), EndReason::Deleted, None)));
    let ended = Some((at(9), EndReason::HostLost, Some("gone".to_owned())));
    assert_eq!(read(store, &rows[1].id).await.ended, ended);
    assert_eq!(read(store, &rows[1].id).await, SessionRow { ended, ..without_policy(&rows[1]) });
}

fn with_policy(mut row: SessionRow) -> SessionRow {
    row.config.chrome_policy = json!({"URLBlocklist": ["*"]}).as_object().cloned();
    row
}

/// The same without its policy.
fn without_policy(row: &SessionRow) -> SessionRow {
    let mut row = row.clone();
    row.config.chrome_policy = None;
    row
}

/// It may be large, and nothing asks for it any more.
pub(super) async fn a_policy_goes_with_its_session(store: &dyn Store) {
    let row = with_policy(named(1, "strict"));
    insert(store, &row).await;
    assert_eq!(read(store, &row.id).await, row);
    sessions(store).end(&row.id, at(5), EndReason::Deleted, None).await.expect("it runs");
    let ended = Some((at(5), EndReason::Deleted, None));
    assert_eq!(read(store, &row.id).await, SessionRow { ended, ..without_policy(&row) });
}

pub(super) async fn ended_sessions_are_forgotten_in_their_time(store: &dyn Store) {
    let ended =
        |at_age| SessionRow { ended: Some((at(at_age), EndReason::Deleted, None)), ..running(1) };
    let (runs, recorded, late) = (running(0), ended(10), ended(30));
    let old: Vec<_> = (10..15).map(ended).collect();
    for row in old.iter().chain([&runs, &recorded, &late]) {
        insert(store, row).await;
    }
    let replay = ReplayRow {
        id: ReplayId::generate(),
        session_id: recorded.id.clone(),
        started_at: at(5),
        end: None,
    };
    store.rows(default_project()).insert(&replay).await.expect("it is new");
    let all = store.everywhere::<SessionRow>();
    let mut forgotten = Vec::new();
    for _ in 0..4 {
        forgotten.push(all.forget(at(30), 2).await.expect("the store answers"));
    }
    assert_eq!(forgotten, [2, 2, 1, 0], "a few at a time");
    for row in [&runs, &recorded, &late] {
        assert_eq!(&read(store, &row.id).await, row);
    }
    // Its recordings are found through it.
    store.rows::<ReplayRow>(default_project()).delete(&replay.id).await.expect("it is there");
    assert_eq!(all.forget(at(30), 9).await.expect("the store answers"), 1);
}
