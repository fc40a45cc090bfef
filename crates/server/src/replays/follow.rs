//! Following a recording to its end, whatever ends first.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use browserd_api::replays::ReplayEndReason;
use browserd_api::{ProjectId, Timestamp};
use browserd_fleet::LiveSession;
use browserd_protocol::replay::{Ended, SLACK};
use browserd_store::{BlobKey, ReplayEnd, ReplayRow};
use tokio::sync::watch;
use tokio_util::io::StreamReader;

use super::{Inner, Recordings, Replays, guest};

/// How often a recording for which there was no room is tried to be kept.
const TRY_AGAIN: Duration = Duration::from_secs(2);

impl Replays {
    /// Follows a recording in a task of its own.
    pub(super) fn follow(&self, session: LiveSession, row: ReplayRow) {
        let Some(recordings) = self.0.recordings.clone() else { return };
        let (over, open) = watch::channel(());
        self.0.open.lock().insert(row.id.clone(), open);
        let replays = self.clone();
        self.0.tasks.spawn(async move {
            replays.follow_to_end(&recordings, &session, &row).await;
            replays.0.open.lock().remove(&row.id);
            drop(over);
        });
    }

    async fn follow_to_end(&self, recordings: &Recordings, session: &LiveSession, row: &ReplayRow) {
        let mut ended = None;
        // Nothing would be recorded of a session that is suspended.
        let wake_lock = session.wake_lock();
        if let Ok(said) = guest::end(&self.0.guests, session, &row.id).await {
            match self.fetch_when_it_fits(recordings, session, row).await {
                Ok(size_bytes) => {
                    self.record(session.project(), row, ended_as(&said, size_bytes)).await;
                    guest::delete(&self.0.guests, session, &row.id).await;
                    return;
                }
                Err(error) => {
                    tracing::warn!(replay = %row.id, %error, "a recording could not be fetched");
                    ended = Some(said);
                }
            }
        }
        drop(wake_lock);
        // The session is over, or will be; then its files are moved out.
        let finished_at = {
            session.wait_end().await;
            Timestamp::now()
        };
        session.wait_gone().await;
        let size_bytes = self.keep_rescued(recordings, session.project(), row).await;
        let end = match ended {
            Some(said) => ended_as(&said, size_bytes),
            None => ReplayEnd { finished_at, reason: ReplayEndReason::SessionEnded, size_bytes },
        };
        self.record(session.project(), row, end).await;
    }

    /// Fetches the file; where the disk has no room for it now, as soon as it has.
    async fn fetch_when_it_fits(
        &self,
        recordings: &Recordings,
        session: &LiveSession,
        row: &ReplayRow,
    ) -> io::Result<u64> {
        let mut is_told = false;
        loop {
            match self.fetch(recordings, session, row).await {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    if !is_told {
                        is_told = true;
                        tracing::warn!(replay = %row.id, %error, "a recording stays in its session until there is room for it");
                    }
                }
                other => return other,
            }
            // The session's own file can be kept without room once it is over.
            tokio::select! {
                () = tokio::time::sleep(TRY_AGAIN) => {}
                _ = session.wait_end() => return Err(io::Error::other("the session has ended")),
            }
        }
    }

    async fn fetch(
        &self,
        recordings: &Recordings,
        session: &LiveSession,
        row: &ReplayRow,
    ) -> io::Result<u64> {
        let file = guest::file(&self.0.guests, session, &row.id).await.map_err(io::Error::other)?;
        let mut file = StreamReader::new(Box::pin(file));
        let limit = recordings.limit_bytes.saturating_add(SLACK);
        let key = BlobKey::replay(session.project(), &row.id);
        tokio::select! {
            size = recordings.blobs.put(&key, &mut file, limit) => size,
            _ = session.wait_end() => Err(io::Error::other("the session has ended")),
        }
    }

    async fn record(&self, project: &ProjectId, row: &ReplayRow, end: ReplayEnd) {
        tracing::info!(replay = %row.id, reason = ?end.reason, bytes = end.size_bytes, "recording ended");
        if let Err(error) = self.0.fleet.store().rows::<ReplayRow>(project).end(&row.id, &end).await
        {
            tracing::error!(replay = %row.id, %error, "a recording's end could not be recorded");
        }
        self.0.ended_bytes.fetch_add(end.size_bytes, Ordering::AcqRel);
        self.0.ended.notify_one();
    }

    /// Takes up what an earlier server left open: recordings of sessions that still run are followed,
    /// those of sessions that are gone are ended with what is left of them.
    pub(crate) async fn settle(&self) {
        let Inner { fleet, recordings: Some(recordings), .. } = &*self.0 else { return };
        let open = match fleet.store().everywhere::<ReplayRow>().open().await {
            Ok(open) => open,
            Err(error) => {
                tracing::error!(%error, "open recordings could not be looked for");
                return;
            }
        };
        for (project, row) in open {
            let sessions = fleet.project(&project);
            if let Ok(live) = sessions.live(row.session_id.as_str()) {
                self.follow(live, row);
                continue;
            }
            let session = sessions.find(row.session_id.as_str(), true).await.ok();
            let ended_at = session.and_then(|session| session.ended.map(|(at, ..)| at));
            let end = ReplayEnd {
                finished_at: ended_at.unwrap_or_else(Timestamp::now),
                reason: ReplayEndReason::SessionEnded,
                size_bytes: self.keep_rescued(recordings, &project, &row).await,
            };
            self.record(&project, &row, end).await;
        }
        // Whatever else was rescued belongs to no recording that is to be kept.
        if let Err(error) = fleet.drop_all_rescued().await {
            tracing::warn!(%error, "files of recordings that nobody keeps could not all be removed; the next start of the server tries again");
        }
    }

    /// Keeps what the fleet has of a recording that was still inside its session; answers its size, 0 when
    /// there is nothing.
    async fn keep_rescued(
        &self,
        recordings: &Recordings,
        project: &ProjectId,
        row: &ReplayRow,
    ) -> u64 {
        let fleet = &self.0.fleet;
        let limit = recordings.limit_bytes.saturating_add(SLACK);
        let kept = async {
            let file = fleet.open_rescued(&row.session_id, &row.id).await?;
            let file = file.ok_or_else(|| io::Error::other("the session left no file of it"))?;
            let key = BlobKey::replay(project, &row.id);
            let size = recordings.blobs.put_file(&key, file, limit).await?;
            if let Err(error) = fleet.drop_rescued(&row.session_id, &row.id).await {
                tracing::warn!(replay = %row.id, %error, "a recording is kept, but its other copy could not be removed; the next start of the server tries again");
            }
            io::Result::Ok(size)
        };
        match kept.await {
            Ok(size) => size,
            Err(error) => {
                tracing::warn!(replay = %row.id, session = %row.session_id, %error, "nothing of a recording could be kept");
                0
            }
        }
    }
}

/// What the guest said of an end; its times are bounded by ours.
fn ended_as(said: &Ended, size_bytes: u64) -> ReplayEnd {
    let finished_at = said.finished_at.min(Timestamp::now());
    ReplayEnd { finished_at, reason: said.reason, size_bytes }
}
