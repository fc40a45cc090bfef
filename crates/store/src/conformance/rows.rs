//! What is true of rows of every kind.

use std::fmt::Debug;
use std::sync::Arc;

use browserd_api::ProjectId;
use browserd_api::browser::StatusFilter;

use crate::{Filter, Names, Row, Rows, Store, StoreError};

/// Makes rows of a kind to try.
pub trait Sample: Row + Debug + PartialEq {
    /// A fresh row, made `age` microseconds after some time that is the same for all, which has not ended.
    /// It has the name, if rows of its kind have names.
    fn sample(age: i64, name: Option<&str>) -> Self;
}

/// Runs every check of one kind of row, each against an empty store of its own.
///
/// # Panics
/// Where [`Rows`] do not do what they say.
pub async fn rows<T: Sample, F, Fut>(empty: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Store>>,
{
    a_row_comes_back_changes_and_goes::<T>(&*empty().await).await;
    pages_follow_without_gap_or_overlap::<T>(&*empty().await).await;
    nothing_of_one_project_is_in_another::<T>(&*empty().await).await;
    if T::TABLE.names != Names::None {
        names_find_rows::<T>(&*empty().await).await;
        rows_are_searched_by_name_and_id::<T>(&*empty().await).await;
    }
}

fn all(limit: u32, offset: u32) -> Filter {
    Filter { status: StatusFilter::All, limit, offset, ..Filter::default() }
}

async fn ids<T: Sample>(rows: Rows<'_, T>, filter: Filter) -> Vec<String> {
    let (rows, more) = rows.list(&filter).await.expect("the store answers");
    assert!(!more);
    rows.iter().map(|row| row.id().to_string()).collect()
}

async fn a_row_comes_back_changes_and_goes<T: Sample>(store: &dyn Store) {
    let project = ProjectId::generate();
    let (rows, row, other) =
        (store.rows::<T>(&project), T::sample(1, Some("one")), T::sample(2, Some("two")));
    assert_eq!(rows.by_id(row.id()).await.expect("the store answers"), None);
    rows.insert(&row).await.expect("it is new");
    rows.insert(&other).await.expect("it is new");
    assert_eq!(rows.by_id(row.id()).await.expect("the store answers").as_ref(), Some(&row));
    assert_eq!(rows.find(&row.id().to_string()).await.expect("an answer").as_ref(), Some(&row));
    assert_eq!(rows.find("nobody").await.expect("the store answers"), None);
    let same = rows.update(row.id(), |_| {}).await.expect("it is there");
    assert_eq!(same, row);

    assert_eq!(rows.delete(row.id()).await.expect("it is there"), row);
    assert_eq!(rows.by_id(row.id()).await.expect("the store answers"), None);
    for gone in [rows.delete(row.id()).await.err(), rows.update(row.id(), |_| {}).await.err()] {
        assert!(matches!(gone, Some(StoreError::NotFound)), "{gone:?}");
    }
    assert_eq!(
        rows.by_id(other.id()).await.expect("an answer"),
        Some(other),
        "its neighbour stays"
    );
}

async fn pages_follow_without_gap_or_overlap<T: Sample>(store: &dyn Store) {
    let project = ProjectId::generate();
    let rows = store.rows::<T>(&project);
    // Two of each time: rows of one time have some order, the same on every page.
    for age in 0..7 {
        rows.insert(&T::sample(age / 2, None)).await.expect("it is new");
    }
    let whole = ids(rows, all(7, 0)).await;
    assert_eq!(whole.len(), 7, "as many as asked for are no reason to say that more follow");
    for limit in 1..=8 {
        let mut paged: Vec<String> = Vec::new();
        loop {
            let offset = u32::try_from(paged.len()).expect("seven");
            let (page, more) = rows.list(&all(limit, offset)).await.expect("the store answers");
            assert!(page.len() <= limit as usize);
            paged.extend(page.iter().map(|row| row.id().to_string()));
            assert_eq!(more, paged.len() < whole.len(), "limit {limit} offset {offset}");
            if !more {
                break;
            }
        }
        assert_eq!(paged, whole, "limit {limit}");
    }
    assert!(ids(rows, all(u32::MAX, u32::MAX)).await.is_empty());
    let newest = T::sample(100, None);
    rows.insert(&newest).await.expect("it is new");
    assert_eq!(ids(rows, all(9, 0)).await[0], newest.id().to_string(), "the newest come first");
}

async fn nothing_of_one_project_is_in_another<T: Sample>(store: &dyn Store) {
    let (mine, theirs) = (ProjectId::generate(), ProjectId::generate());
    let (mine, theirs) = (store.rows::<T>(&mine), store.rows::<T>(&theirs));
    let row = T::sample(1, Some("work"));
    mine.insert(&row).await.expect("it is new");

    assert_eq!(theirs.by_id(row.id()).await.expect("the store answers"), None);
    assert_eq!(theirs.by_name("work").await.expect("the store answers"), None);
    assert_eq!(theirs.find(&row.id().to_string()).await.expect("the store answers"), None);
    assert!(ids(theirs, all(9, 0)).await.is_empty());
    let query = Some(row.id().to_string());
    assert!(ids(theirs, Filter { query, ..all(9, 0) }).await.is_empty());
    let changed = theirs.update(row.id(), |_| panic!("it is not theirs")).await;
    assert!(matches!(changed, Err(StoreError::NotFound)), "{changed:?}");
    let deleted = theirs.delete(row.id()).await;
    assert!(matches!(deleted, Err(StoreError::NotFound)), "{deleted:?}");

    let twin = T::sample(2, Some("work"));
    theirs.insert(&twin).await.expect("a name is free in every project");
    assert_eq!(ids(theirs, all(9, 0)).await, [twin.id().to_string()]);
    assert_eq!(ids(mine, all(9, 0)).await, [row.id().to_string()]);
    if T::TABLE.names != Names::None {
        assert_eq!(mine.by_name("work").await.expect("an answer").as_ref(), Some(&row));
        assert_eq!(theirs.by_name("work").await.expect("an answer").as_ref(), Some(&twin));
    }
}

async fn names_find_rows<T: Sample>(store: &dyn Store) {
    let project = ProjectId::generate();
    let rows = store.rows::<T>(&project);
    let (row, other) = (T::sample(1, Some("work")), T::sample(2, None));
    for row in [&row, &other, &T::sample(3, None)] {
        rows.insert(row).await.expect("rows without a name are no rivals");
    }
    assert_eq!(rows.find("work").await.expect("the store answers").as_ref(), Some(&row));
    let twin = T::sample(4, Some("work"));
    let added = rows.insert(&twin).await;
    if T::TABLE.names == Names::Shared {
        added.expect("several may have the name");
        let found = rows.find("work").await;
        assert!(matches!(found, Err(StoreError::Ambiguous)), "{found:?}");
    } else {
        let Err(StoreError::Taken { existing }) = added else { panic!("taken, yet: {added:?}") };
        assert_eq!(existing, row.id().to_string());
        assert_eq!(rows.by_id(twin.id()).await.expect("the store answers"), None);
        assert_eq!(rows.find("WORK").await.expect("the store answers"), None);
    }
}

async fn rows_are_searched_by_name_and_id<T: Sample>(store: &dyn Store) {
    let project = ProjectId::generate();
    let rows = store.rows::<T>(&project);
    let (greek, percent) = (T::sample(1, Some("ΔΟΚΙΜΉ Straße")), T::sample(2, Some("100%_\\")));
    for row in [&greek, &percent] {
        rows.insert(row).await.expect("it is new");
    }
    let by_query = |text: &str| ids(rows, Filter { query: Some(text.to_owned()), ..all(9, 0) });
    let by_name = |text: &str| ids(rows, Filter { name: Some(text.to_owned()), ..all(9, 0) });
    let (greek, percent) = ([greek.id().to_string()], [percent.id().to_string()]);
    for part in ["δοκιμή", "STRAßE", "ή s", greek[0].as_str()] {
        assert_eq!(by_query(part).await, greek, "{part}");
    }
    // Text, and no pattern.
    for part in ["%", "_", "\\", percent[0].as_str()] {
        assert_eq!(by_query(part).await, percent, "{part}");
    }
    assert_eq!(by_query("").await.len(), 2);
    assert!(by_query(&greek[0][..23]).await.is_empty());
    assert_eq!(by_name("δοκιμή STRAßE").await, greek);
    assert!(by_name("δοκιμή").await.is_empty());
}
