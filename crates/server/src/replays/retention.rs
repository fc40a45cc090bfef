//! Removing finished recordings: those that are too old, and the oldest when all are too much.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use browserd_api::{ProjectId, Timestamp};
use browserd_store::{BlobKey, Blobs, ReplayRow, Store, StoreError};

use super::{Replays, Retention};

/// Recordings looked at in one go.
const BATCH: u32 = 100;
/// Longest pause between two looks: clocks are set, and removing may have failed.
const LONGEST: Duration = Duration::from_secs(3600);

impl Replays {
    /// Removes recordings when their time has come, for as long as the server runs.
    pub(crate) async fn keep(self) {
        let Some(recordings) = &self.0.recordings else { return };
        let mut sweeper = Sweeper {
            store: Arc::clone(self.0.fleet.store()),
            blobs: Arc::clone(&recordings.blobs),
            retention: recordings.retention,
            counted: None,
        };
        loop {
            sweeper.add(self.0.ended_bytes.swap(0, Ordering::AcqRel));
            let pause = match sweeper.sweep(Timestamp::now()).await {
                Ok(next) => next.map_or(LONGEST, |next| next.min(LONGEST)),
                Err(error) => {
                    tracing::error!(%error, "old recordings could not be removed; trying again");
                    LONGEST
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.0.ended.notified() => {}
            }
        }
    }
}

struct Sweeper {
    store: Arc<dyn Store>,
    blobs: Arc<dyn Blobs>,
    retention: Retention,
    /// Bytes of all recordings that have ended, and when they were counted: that looks at every row, so what
    /// comes and goes is added up instead.
    counted: Option<(Instant, u64)>,
}

impl Sweeper {
    /// Adds what has ended since.
    fn add(&mut self, bytes: u64) {
        if let Some((_, counted)) = &mut self.counted {
            *counted = counted.saturating_add(bytes);
        }
    }

    /// Bytes of all that have ended, where that matters.
    async fn bytes(&mut self) -> Result<u64, StoreError> {
        match self.counted {
            _ if self.retention.bytes.is_none() => Ok(0),
            Some((at, bytes)) if at.elapsed() < LONGEST => Ok(bytes),
            _ => {
                let bytes = self.store.everywhere::<ReplayRow>().size().await?;
                self.counted = Some((Instant::now(), bytes));
                Ok(bytes)
            }
        }
    }

    /// Removes what is not to be kept any more at the time `now`; answers how long until the next one
    /// will be too old. One that cannot be removed stops no other.
    async fn sweep(&mut self, now: Timestamp) -> Result<Option<Duration>, StoreError> {
        let mut bytes = self.bytes().await?;
        let mut skipped = 0;
        loop {
            let rows = self.store.everywhere::<ReplayRow>().ended(BATCH, skipped).await?;
            if rows.is_empty() {
                return Ok(None);
            }
            for row in rows {
                let ended = row.and_then(|(project, row)| Some((row.end.clone()?, project, row)));
                let Some((end, project, row)) = ended else {
                    skipped += 1;
                    continue;
                };
                let left = self.retention.age.map(|age| left(end.finished_at, age, now));
                let too_much = self.retention.bytes.is_some_and(|most| bytes > most);
                let too_old = left == Some(Duration::ZERO);
                if !(too_old || too_much) {
                    return Ok(left);
                }
                if !self.remove(&project, &row).await? {
                    skipped += 1;
                    continue;
                }
                let why = if too_old { "age" } else { "size of all" };
                tracing::info!(replay = %row.id, session_id = %row.session_id, why, "recording removed");
                bytes = bytes.saturating_sub(end.size_bytes);
                if let Some((_, counted)) = &mut self.counted {
                    *counted = bytes;
                }
            }
        }
    }

    /// Removes a recording; answers whether that went well, and fails where the database does.
    async fn remove(&self, project: &ProjectId, row: &ReplayRow) -> Result<bool, StoreError> {
        // The row last: should this be interrupted, it is found again.
        if let Err(error) = self.blobs.delete(&BlobKey::replay(project, &row.id)).await {
            tracing::error!(replay = %row.id, %error, "the file of a recording could not be removed; others are, and this one is tried again");
            return Ok(false);
        }
        match self.store.rows::<ReplayRow>(project).delete(&row.id).await {
            Ok(_) | Err(StoreError::NotFound) => Ok(true),
            Err(error @ StoreError::Unavailable { .. }) => Err(error),
            Err(error) => {
                tracing::error!(replay = %row.id, %error, "a recording could not be removed; others are, and this one is tried again");
                Ok(false)
            }
        }
    }
}

/// How long what ended at `ended` is still kept. A clock that went backwards makes it no longer than
/// `age`.
fn left(ended: Timestamp, age: Duration, now: Timestamp) -> Duration {
    let passed = now.as_micros().saturating_sub(ended.as_micros());
    age.saturating_sub(Duration::from_micros(u64::try_from(passed).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use browserd_api::replays::ReplayEndReason;
    use browserd_api::{ReplayId, SessionId};
    use browserd_store::{Columns, DiskBlobs, ReplayEnd, Row as _, SqliteStore};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn hour(n: i64) -> Timestamp {
        Timestamp::from_micros(n * 3_600_000_000)
    }

    /// A sweeper, and recordings of 10 bytes that ended at these hours.
    async fn with(
        folder: &tempfile::TempDir,
        retention: Retention,
        hours: impl IntoIterator<Item = i64>,
    ) -> (Sweeper, Vec<ReplayRow>) {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().await.unwrap());
        let project = ProjectId::default();
        let blobs = DiskBlobs::open(folder.path().to_owned()).unwrap();
        let mut rows = Vec::new();
        for at in hours {
            let end = ReplayEnd {
                finished_at: hour(at),
                reason: ReplayEndReason::Stopped,
                size_bytes: 10,
            };
            let row = ReplayRow {
                id: ReplayId::generate(),
                session_id: SessionId::generate(),
                started_at: hour(0),
                end: Some(end),
            };
            store.rows(&project).insert(&row).await.unwrap();
            blobs.put(&BlobKey::replay(&project, &row.id), &mut &[0u8; 10][..], 10).await.unwrap();
            rows.push(row);
        }
        (Sweeper { store, blobs: Arc::new(blobs), retention, counted: None }, rows)
    }

    /// Which of `rows` are there, blob and row.
    async fn there(sweeper: &Sweeper, rows: &[ReplayRow]) -> Vec<bool> {
        let (mut all, project) = (Vec::new(), ProjectId::default());
        let kept = sweeper.store.rows::<ReplayRow>(&project);
        for row in rows {
            let blob =
                sweeper.blobs.size(&BlobKey::replay(&project, &row.id)).await.unwrap().is_some();
            let found = kept.by_id(&row.id).await.unwrap().is_some();
            assert_eq!(blob, found, "a blob and its row go together");
            all.push(found);
        }
        all
    }

    #[tokio::test]
    async fn they_go_when_their_time_has_come() {
        let folder = tempfile::tempdir().unwrap();
        let retention = Retention { age: Some(10 * HOUR), bytes: None };
        let (mut sweeper, rows) = with(&folder, retention, [3, 1, 7]).await;
        assert_eq!(sweeper.sweep(hour(10)).await.unwrap(), Some(HOUR));
        assert_eq!(there(&sweeper, &rows).await, [true, true, true]);
        assert_eq!(sweeper.sweep(hour(13)).await.unwrap(), Some(4 * HOUR));
        assert_eq!(there(&sweeper, &rows).await, [false, false, true]);
        // A clock that was set back keeps them no longer than all the time there is.
        assert_eq!(sweeper.sweep(hour(2)).await.unwrap(), Some(10 * HOUR));
        assert_eq!(sweeper.sweep(hour(17)).await.unwrap(), None);
        assert_eq!(there(&sweeper, &rows).await, [false; 3]);
    }

    #[tokio::test]
    async fn the_first_to_end_go_when_they_are_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let retention = Retention { age: None, bytes: Some(25) };
        let (mut sweeper, rows) = with(&folder, retention, [3, 1, 7]).await;
        assert_eq!(sweeper.sweep(hour(8)).await.unwrap(), None);
        assert_eq!(there(&sweeper, &rows).await, [true, false, true]);
    }

    #[tokio::test]
    async fn without_limits_they_stay_and_many_go_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (mut sweeper, rows) = with(&folder, Retention::default(), 0..150).await;
        assert_eq!(sweeper.sweep(hour(1 << 20)).await.unwrap(), None);
        assert_eq!(there(&sweeper, &rows).await, vec![true; rows.len()]);
        sweeper.retention.age = Some(HOUR);
        assert_eq!(sweeper.sweep(hour(1 << 20)).await.unwrap(), None);
        assert_eq!(there(&sweeper, &rows).await, vec![false; rows.len()]);
    }

    #[tokio::test]
    async fn a_row_whose_blob_has_gone_goes_too() {
        let folder = tempfile::tempdir().unwrap();
        let retention = Retention { age: Some(HOUR), bytes: None };
        let (mut sweeper, rows) = with(&folder, retention, [1]).await;
        sweeper.blobs.delete(&BlobKey::replay(&ProjectId::default(), &rows[0].id)).await.unwrap();
        assert_eq!(sweeper.sweep(hour(2)).await.unwrap(), None);
        assert_eq!(there(&sweeper, &rows).await, [false]);
    }

    #[tokio::test]
    async fn one_that_cannot_be_removed_or_read_stops_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let retention = Retention { age: Some(HOUR), bytes: Some(1) };
        let (mut sweeper, rows) = with(&folder, retention, 1..150).await;
        let project = ProjectId::default();
        // What removes files removes no folder.
        let stuck = folder.path().join(BlobKey::replay(&project, &rows[0].id).as_str());
        std::fs::remove_file(&stuck).unwrap();
        std::fs::create_dir(&stuck).unwrap();
        for _ in 0..BATCH {
            let mut unreadable = Columns::default();
            unreadable.set("id", ReplayId::generate().as_str());
            unreadable.set("project_id", project.as_str());
            unreadable.set("session_id", SessionId::generate().as_str());
            unreadable.set("started_at", hour(0));
            unreadable.set("finished_at", hour(0));
            unreadable.set("end_reason", "abducted");
            unreadable.set("size", 0_u64);
            sweeper.store.insert(ReplayRow::TABLE, unreadable).await.unwrap();
        }
        assert_eq!(sweeper.sweep(hour(500)).await.unwrap(), None);
        assert_eq!(there(&sweeper, &rows[1..]).await, [false; 148]);
        // And is tried again.
        std::fs::remove_dir(&stuck).unwrap();
        assert_eq!(sweeper.sweep(hour(500)).await.unwrap(), None);
        assert_eq!(there(&sweeper, &rows).await, [false; 149]);
    }

    #[tokio::test]
    async fn what_ends_later_is_added_up() {
        let folder = tempfile::tempdir().unwrap();
        let retention = Retention { age: None, bytes: Some(25) };
        let (mut sweeper, rows) = with(&folder, retention, [1, 2]).await;
        assert_eq!(sweeper.sweep(hour(8)).await.unwrap(), None);
        assert_eq!(there(&sweeper, &rows).await, [true, true]);
        sweeper.add(10);
        assert_eq!(sweeper.sweep(hour(8)).await.unwrap(), None);
        assert_eq!(there(&sweeper, &rows).await, [false, true]);
    }
}
