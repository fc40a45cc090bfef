//! What every implementation of [`Store`] must do, as checks that panic where it does not.
//!
//! Owns the checks, not the stores: a test of an implementation passes a maker of empty stores.
//!
//! ```no_run
//! # async fn test() {
//! use std::sync::Arc;
//! use browserd_store::{SqliteStore, Store, conformance};
//!
//! conformance::check(|| async {
//!     Arc::new(SqliteStore::in_memory().await.unwrap()) as Arc<dyn Store>
//! })
//! .await;
//! # }
//! ```

mod blobs;
mod keys;
mod listing;
mod names;
mod profiles;
mod proxies;
mod replays;
mod rows;
mod samples;
mod sessions;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use browserd_api::browser::{LocationRequest, Memory, Region, SessionConfig, Viewport};
use std::sync::LazyLock;

use browserd_api::{ProjectId, SessionId, Timestamp};

use crate::{ApiKeyRow, ProfileRow, ProxyRow, ReplayRow, Rows, SessionPatch, SessionRow, Store};

pub use blobs::check_blobs;
pub use rows::{Sample, rows};

/// Runs every check, each against an empty store of its own.
///
/// # Panics
/// Where the store does not do what [`Store`] says.
pub async fn check<F, Fut>(empty: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Store>>,
{
    rows::<SessionRow, _, _>(&empty).await;
    rows::<ReplayRow, _, _>(&empty).await;
    rows::<ProfileRow, _, _>(&empty).await;
    rows::<ProxyRow, _, _>(&empty).await;
    rows::<ApiKeyRow, _, _>(&empty).await;
    sessions::a_row_comes_back_as_it_went_in(&*empty().await).await;
    sessions::an_id_is_used_once(&*empty().await).await;
    sessions::what_is_not_there_is_none(&*empty().await).await;
    sessions::an_update_changes_what_it_names(&*empty().await).await;
    sessions::settings_change_one_by_one(&*empty().await).await;
    sessions::why_a_profile_was_not_saved_is_recorded(&*empty().await).await;
    sessions::the_first_end_stands(&*empty().await).await;
    sessions::all_running_sessions_end(&*empty().await).await;
    sessions::a_policy_goes_with_its_session(&*empty().await).await;
    sessions::ended_sessions_are_forgotten_in_their_time(&*empty().await).await;
    names::a_name_has_one_running_holder(&*empty().await).await;
    names::one_of_many_at_once_gets_the_name(empty().await).await;
    names::a_renamed_session_frees_its_name(&*empty().await).await;
    names::a_name_finds_the_running_session_first(&*empty().await).await;
    listing::pages_follow_without_gap_or_overlap(&*empty().await).await;
    listing::status_selects(&*empty().await).await;
    listing::query_is_part_of_the_name_or_the_whole_id(&*empty().await).await;
    listing::query_is_text_and_no_pattern(&*empty().await).await;
    listing::tags_must_all_match_exactly(&*empty().await).await;
    listing::region_selects(&*empty().await).await;
    listing::filters_add_up(&*empty().await).await;
    replays::recordings_are_their_sessions_and_in_order(&*empty().await).await;
    replays::the_first_end_of_a_recording_stands(&*empty().await).await;
    replays::ended_recordings_leave_the_first_to_end_in_front(&*empty().await).await;
    profiles::a_profile_comes_back_and_changes(&*empty().await).await;
    profiles::a_profiles_name_is_its_own(&*empty().await).await;
    proxies::a_proxy_comes_back_and_changes(&*empty().await).await;
    proxies::proxies_are_listed_newest_first_and_found_by_words(&*empty().await).await;
    keys::keys_come_back_and_double_hashes_do_not(&*empty().await).await;
}

/// A running session created `age` microseconds after the epoch's 1.7 billionth second.
fn running(age: i64) -> SessionRow {
    SessionRow {
        id: SessionId::generate(),
        name: None,
        tags: BTreeMap::new(),
        config: SessionConfig {
            headless: true,
            viewport: Viewport::default(),
            kiosk_mode: false,
            stealth: false,
            start_url: None,
            location: LocationRequest::default(),
            chrome_policy: None,
            memory: Memory::Gib1,
            region: Region::UsEast,
            timeout_seconds: 60,
            proxy: None,
            profile: None,
        },
        created_at: at(age),
        ended: None,
    }
}

fn named(age: i64, name: &str) -> SessionRow {
    SessionRow { name: Some(name.to_owned()), ..running(age) }
}

/// A change of the name and nothing else.
fn rename(name: Option<&str>) -> SessionPatch {
    SessionPatch { name: Some(name.map(str::to_owned)), ..SessionPatch::default() }
}

/// The project that is always there.
fn default_project() -> &'static ProjectId {
    static DEFAULT: LazyLock<ProjectId> = LazyLock::new(ProjectId::default);
    &DEFAULT
}

fn sessions(store: &dyn Store) -> Rows<'_, SessionRow> {
    store.rows(default_project())
}

fn at(age: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + age)
}

fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

async fn insert(store: &dyn Store, row: &SessionRow) {
    sessions(store).insert(row).await.expect("the row is new and its name free");
}

async fn read(store: &dyn Store, id: &SessionId) -> SessionRow {
    sessions(store).by_id(id).await.expect("the store answers").expect("the row is there")
}
