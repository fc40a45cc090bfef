//! Recordings.

use browserd_api::replays::ReplayEndReason;
use browserd_api::{ReplayId, SessionId};

use super::at;
use crate::{ReplayEnd, ReplayRow, Store};

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
        store.insert_replay(row).await.expect("it is new");
    }
    store.insert_replay(&late).await.expect_err("an id is used once");
    let all = store.replays(&mine).await.expect("the store answers");
    assert_eq!(all, [early.clone(), late]);
    assert_eq!(
        store.replay(&mine, &early.id).await.expect("the store answers"),
        Some(early.clone())
    );
    assert_eq!(store.replay(&other, &early.id).await.expect("the store answers"), None);
    assert_eq!(store.replays(&SessionId::generate()).await.expect("the store answers"), []);
}

pub(super) async fn the_first_end_of_a_recording_stands(store: &dyn Store) {
    let session = SessionId::generate();
    let (row, open) = (started(&session, 1), started(&session, 2));
    for row in [&row, &open] {
        store.insert_replay(row).await.expect("it is new");
    }
    let end =
        ReplayEnd { finished_at: at(3), reason: ReplayEndReason::MaxDuration, size_bytes: 1 << 40 };
    store.end_replay(&row.id, &end).await.expect("it ends");
    let second = ReplayEnd { reason: ReplayEndReason::SessionEnded, ..end.clone() };
    store.end_replay(&row.id, &second).await.expect("a second end is no error");
    let read = store.replay(&session, &row.id).await.expect("the store answers");
    assert_eq!(read, Some(ReplayRow { end: Some(end), ..row }));
    assert_eq!(store.open_replays().await.expect("the store answers"), [open]);
}

pub(super) async fn ended_recordings_leave_the_first_to_end_in_front(store: &dyn Store) {
    let session = SessionId::generate();
    let end = |age, size_bytes| ReplayEnd {
        finished_at: at(age),
        reason: ReplayEndReason::Stopped,
        size_bytes,
    };
    assert_eq!(store.ended_replays(9).await.expect("the store answers"), (vec![], 0));
    let mut ended = Vec::new();
    for (age, size) in [(30, 1), (10, 1 << 40), (20, 4)] {
        let row = ReplayRow { end: Some(end(age, size)), ..started(&session, 1) };
        store.insert_replay(&row).await.expect("it is new");
        ended.push(row);
    }
    store.insert_replay(&started(&session, 5)).await.expect("it is new");
    ended.sort_by_key(|row| row.end.as_ref().map(|end| end.finished_at));
    let all = (1 << 40) + 5;
    assert_eq!(
        store.ended_replays(2).await.expect("the store answers"),
        (ended[..2].to_vec(), all)
    );
    store.delete_replay(&ended[0].id).await.expect("it goes");
    store.delete_replay(&ended[0].id).await.expect("what is not there is no error");
    assert_eq!(store.ended_replays(9).await.expect("the store answers"), (ended[1..].to_vec(), 5));
    assert_eq!(store.replay(&session, &ended[0].id).await.expect("the store answers"), None);
}
