//! Whose name it is.

use std::sync::Arc;

use browserd_api::browser::EndReason;

use super::{at, insert, named, read, rename, running, sessions};
use crate::{SessionRow, Store, StoreError};

async fn assert_taken(result: Result<impl std::fmt::Debug, StoreError>, holder: &SessionRow) {
    match result {
        Err(StoreError::Taken { existing }) => assert_eq!(existing, holder.id.as_str()),
        other => panic!("the name has a holder, yet: {other:?}"),
    }
}

pub(super) async fn a_name_has_one_running_holder(store: &dyn Store) {
    let holder = named(1, "work");
    let rival = named(2, "work");
    insert(store, &holder).await;
    assert_taken(sessions(store).insert(&rival).await, &holder).await;
    assert_eq!(sessions(store).by_id(&rival.id).await.expect("the store answers"), None);

    let other = named(3, "rest");
    insert(store, &other).await;
    let rename = sessions(store).patch(&other.id, &rename(Some("work"))).await;
    assert_taken(rename, &holder).await;
    assert_eq!(read(store, &other.id).await, other);

    // Names differ by case; sessions without a name are no rivals.
    insert(store, &named(4, "Work")).await;
    insert(store, &running(5)).await;
    insert(store, &running(6)).await;

    sessions(store).end(&holder.id, at(9), EndReason::TimedOut, None).await.expect("it runs");
    insert(store, &rival).await;
    let archived =
        SessionRow { ended: Some((at(8), EndReason::Deleted, None)), ..named(7, "work") };
    insert(store, &archived).await;
}

pub(super) async fn one_of_many_at_once_gets_the_name(store: Arc<dyn Store>) {
    let rivals: Vec<SessionRow> = (0..16).map(|age| named(age, "work")).collect();
    let attempts: Vec<_> = rivals
        .iter()
        .cloned()
        .map(|row| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { sessions(&*store).insert(&row).await })
        })
        .collect();
    let mut winner = None;
    let mut told = Vec::new();
    for (row, attempt) in rivals.iter().zip(attempts) {
        match attempt.await.expect("no panic in the store") {
            Ok(()) => assert!(winner.replace(&row.id).is_none(), "two winners"),
            Err(StoreError::Taken { existing }) => told.push(existing),
            Err(error) => panic!("{error}"),
        }
    }
    let winner = winner.expect("one gets it");
    assert_eq!(told.len(), 15);
    assert!(told.iter().all(|existing| existing == winner.as_str()));
}

pub(super) async fn a_renamed_session_frees_its_name(store: &dyn Store) {
    let holder = named(1, "work");
    insert(store, &holder).await;
    sessions(store).patch(&holder.id, &rename(None)).await.expect("it runs");
    let next = named(2, "work");
    insert(store, &next).await;
    assert_taken(sessions(store).patch(&holder.id, &rename(next.name.as_deref())).await, &next)
        .await;
}

pub(super) async fn a_name_finds_the_running_session_first(store: &dyn Store) {
    let ended = |age, end| SessionRow {
        ended: Some((at(end), EndReason::Deleted, None)),
        ..named(age, "work")
    };
    let find = async || {
        sessions(store).by_name("work").await.expect("the store answers").map(|row| row.id)
    };
    let (old, newer, last_ended) = (ended(10, 20), ended(40, 50), ended(30, 60));
    insert(store, &old).await;
    assert_eq!(find().await, Some(old.id));
    insert(store, &newer).await;
    insert(store, &last_ended).await;
    assert_eq!(find().await, Some(last_ended.id));
    let holder = named(5, "work");
    insert(store, &holder).await;
    assert_eq!(find().await, Some(holder.id));
    assert_eq!(sessions(store).by_name("WORK").await.expect("the store answers"), None);
    assert_eq!(sessions(store).by_name("wor%").await.expect("the store answers"), None);
}
