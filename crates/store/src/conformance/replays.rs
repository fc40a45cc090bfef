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
