//! Recordings.

use browserd_api::replays::ReplayEndReason;
use browserd_api::{ProjectId, ReplayId, SessionId};

use super::{at, default_project};
use crate::{ReplayEnd, ReplayRow, Rows, Store};

/// Recordings that have ended, and the size of all.
async fn ended(store: &dyn Store, most: u32) -> (Vec<ReplayRow>, u64) {
    let all = store.everywhere::<ReplayRow>();
    let rows = all.ended(most, 0).await.expect("the store answers");
    let size = all.size().await.expect("the store answers");
    (rows.into_iter().map(|row| row.expect("it can be read").1).collect(), size)
}

fn replays(store: &dyn Store) -> Rows<'_, ReplayRow> {
    store.rows(default_project())
}

fn started(session: &SessionId, age: i64) -> ReplayRow {
    ReplayRow {
        id: ReplayId::generate(),
        session_id: session.clone(),
        started_at: at(age),
        end: None,
    }
}

pub(super) async fn recordings_are_their_sessions_and_in_order(store: &dyn Store) {
    let (mine, other) = (SessionId::generate(), SessionId::generate());
    let (late, early, foreign) = (started(&mine, 2), started(&mine, 1), started(&other, 1));
    for row in [&late, &early, &foreign] {
        replays(store).insert(row).await.expect("it is new");
    }
    replays(store).insert(&late).await.expect_err("an id is used once");
    let all = replays(store).of_session(&mine).await.expect("the store answers");
    assert_eq!(all, [early.clone(), late]);
    assert_eq!(
        replays(store).of_session_by_id(&mine, &early.id).await.expect("the store answers"),
        Some(early.clone())
    );
    assert_eq!(
        replays(store).of_session_by_id(&other, &early.id).await.expect("the store answers"),
        None
    );
    assert_eq!(
        replays(store).of_session(&SessionId::generate()).await.expect("the store answers"),
        []
    );
}

pub(super) async fn the_first_end_of_a_recording_stands(store: &dyn Store) {
    let session = SessionId::generate();
    let (row, open) = (started(&session, 1), started(&session, 2));
    for row in [&row, &open] {
        replays(store).insert(row).await.expect("it is new");
    }
    let end =
        ReplayEnd { finished_at: at(3), reason: ReplayEndReason::MaxDuration, size_bytes: 1 << 40 };
    replays(store).end(&row.id, &end).await.expect("it ends");
    let second = ReplayEnd { reason: ReplayEndReason::SessionEnded, ..end.clone() };
    replays(store).end(&row.id, &second).await.expect("a second end is no error");
    let read = replays(store).of_session_by_id(&session, &row.id).await.expect("the store answers");
    assert_eq!(read, Some(ReplayRow { end: Some(end), ..row }));
    let all = store.everywhere::<ReplayRow>();
    assert_eq!(all.open().await.expect("the store answers"), [(ProjectId::default(), open)]);
}

pub(super) async fn ended_recordings_leave_the_first_to_end_in_front(store: &dyn Store) {
    let session = SessionId::generate();
    let end = |age, size_bytes| ReplayEnd {
        finished_at: at(age),
        reason: ReplayEndReason::Stopped,
        size_bytes,
    };
    assert_eq!(ended(store, 9).await, (vec![], 0));
    let mut rows = Vec::new();
    for (age, size) in [(30, 1), (10, 1 << 40), (20, 4)] {
        let row = ReplayRow { end: Some(end(age, size)), ..started(&session, 1) };
        replays(store).insert(&row).await.expect("it is new");
        rows.push(row);
    }
    replays(store).insert(&started(&session, 5)).await.expect("it is new");
    rows.sort_by_key(|row| row.end.as_ref().map(|end| end.finished_at));
    let all = (1 << 40) + 5;
    assert_eq!(ended(store, 2).await, (rows[..2].to_vec(), all));
    let rest = store.everywhere::<ReplayRow>().ended(9, 2).await.expect("the store answers");
    assert_eq!(rest, [Some((ProjectId::default(), rows[2].clone()))]);
    assert_eq!(replays(store).delete(&rows[0].id).await.expect("it goes"), rows[0]);
    assert_eq!(ended(store, 9).await, (rows[1..].to_vec(), 5));
    assert_eq!(
        replays(store).of_session_by_id(&session, &rows[0].id).await.expect("the store answers"),
        None
    );
}
