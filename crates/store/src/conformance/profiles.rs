//! Profiles.

use browserd_api::ProfileId;

use super::{at, default_project};
use crate::{Filter, ProfileRow, Rows, Saved, Store, StoreError};

fn row(age: i64, name: Option<&str>) -> ProfileRow {
    ProfileRow {
        id: ProfileId::generate(),
        name: name.map(str::to_owned),
        created_at: at(age),
        updated_at: None,
        last_used_at: None,
        saved: None,
    }
}

fn profiles(store: &dyn Store) -> Rows<'_, ProfileRow> {
    store.rows(default_project())
}

fn rename(name: &str) -> impl FnMut(&mut ProfileRow) + Send {
    let name = name.to_owned();
    move |row| row.name = Some(name.clone())
}

fn saved(version: &str) -> Saved {
    Saved { version: version.to_owned(), bytes: 7 }
}

pub(super) async fn a_profile_comes_back_and_changes(store: &dyn Store) {
    let (profiles, first) = (profiles(store), row(1, Some("shop-1")));
    profiles.insert(&first).await.expect("it is new");
    assert_eq!(profiles.by_id(&first.id).await.expect("an answer"), Some(first.clone()));
    assert_eq!(profiles.by_name("shop-1").await.expect("an answer"), Some(first.clone()));
    assert_eq!(profiles.by_name("SHOP-1").await.expect("an answer"), None);
    let used = profiles.used(&first.id, at(3)).await.expect("it is there");
    assert_eq!(used, ProfileRow { last_used_at: Some(at(3)), ..first.clone() });
    assert_eq!(profiles.saved(&first.id, at(4), &saved("a")).await.expect("it is there"), None);
    let before = profiles.saved(&first.id, at(5), &saved("b")).await.expect("it is there");
    assert_eq!(before, Some(saved("a")));
    let renamed = profiles.update(&first.id, rename("shop-2")).await.expect("it is there");
    let name = Some("shop-2".to_owned());
    assert_eq!(
        renamed,
        ProfileRow { name, updated_at: Some(at(5)), saved: Some(saved("b")), ..used }
    );
    assert_eq!(profiles.delete(&first.id).await.expect("it is there").saved, Some(saved("b")));
    for gone in [
        profiles.delete(&first.id).await.err(),
        profiles.update(&first.id, rename("x")).await.err(),
        profiles.used(&first.id, at(6)).await.err(),
        profiles.saved(&first.id, at(6), &saved("c")).await.err(),
    ] {
        assert!(matches!(gone, Some(StoreError::NotFound)), "{gone:?}");
    }
}

pub(super) async fn a_profiles_name_is_its_own(store: &dyn Store) {
    let profiles = profiles(store);
    let (first, second) = (row(1, Some("one")), row(2, None));
    for row in [&first, &second, &row(3, None)] {
        profiles.insert(row).await.expect("nothing in the way");
    }
    let twin = profiles.insert(&row(4, Some("one"))).await.err();
    assert!(
        matches!(&twin, Some(StoreError::Taken { existing }) if existing == first.id.as_str()),
        "{twin:?}"
    );
    let renamed = profiles.update(&second.id, rename("one")).await.err();
    assert!(
        matches!(&renamed, Some(StoreError::Taken { existing }) if existing == first.id.as_str()),
        "{renamed:?}"
    );
    profiles.update(&first.id, rename("one")).await.expect("it has the name itself");
    let (rows, more) =
        profiles.list(&Filter { limit: 2, ..Filter::default() }).await.expect("an answer");
    assert!(more && rows.len() == 2 && rows[1] == second);
    let query = Some("ON".to_owned());
    let filter = Filter { query, limit: 9, ..Filter::default() };
    assert_eq!(profiles.list(&filter).await.expect("an answer").0, [first]);
}
