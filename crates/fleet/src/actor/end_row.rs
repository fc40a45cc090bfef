//! Recording a session's end, now or later.

use std::collections::HashMap;
use std::time::Duration;

use browserd_api::browser::EndReason;
use browserd_api::{SessionId, Timestamp};
use browserd_store::{Rows, SessionRow, StoreError};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The wait before an end that was not recorded is tried a second time; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest such wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A session's end, as its row has it: when, why, and more words.
pub(super) type End = (Timestamp, EndReason, Option<String>);

/// Ends that the store has not taken yet: by their rows, these sessions run.
#[derive(Default)]
pub(crate) struct PendingEnds(Mutex<HashMap<SessionId, End>>);

impl PendingEnds {
    /// Puts a row right whose session has ended.
    pub(crate) fn correct(&self, row: &mut SessionRow) {
        if row.ended.is_none() {
            row.ended = self.0.lock().get(&row.id).cloned();
        }
    }

    /// Records an end; one that the store refuses is pending from then on.
    pub(super) async fn record(
        &self,
        rows: &Rows<'_, SessionRow>,
        id: &SessionId,
        end: End,
    ) -> Result<(), StoreError> {
        let recorded = write(rows, id, &end).await;
        if recorded.is_err() {
            self.0.lock().insert(id.clone(), end);
        }
        recorded
    }

    /// Tries until the pending end of a session is recorded, if there is one, and why its profile was not
    /// saved, or the server stops. The next start records a session whose end was not as lost with its server.
    pub(super) async fn record_at_last(
        &self,
        rows: &Rows<'_, SessionRow>,
        id: &SessionId,
        save_error: Option<String>,
        stop: &CancellationToken,
    ) {
        let end = self.0.lock().get(id).cloned();
        if end.is_none() && save_error.is_none() {
            return;
        }
        let record = async || {
            if let Some(end) = &end {
                write(rows, id, end).await?;
                self.0.lock().remove(id);
            }
            match &save_error {
                Some(why) => rows.profile_not_saved(id, why).await,
                None => Ok(()),
            }
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let last = stop.is_cancelled();
            match record().await {
                Ok(()) | Err(StoreError::NotFound) => {
                    tracing::info!(session = %id, "the session's end is in the database now");
                    return;
                }
                Err(error) if last => {
                    tracing::error!(
                        session = %id, %error,
                        "the server stops before the session's end could be written into the database; \
                         the next start may call it host_lost"
                    );
                    return;
                }
                Err(error) => tracing::error!(
                    session = %id, %error, next_try = ?pause,
                    "could not write the session's end into the database"
                ),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = stop.cancelled() => {}
            }
        }
    }
}

async fn write(rows: &Rows<'_, SessionRow>, id: &SessionId, end: &End) -> Result<(), StoreError> {
    let (at, reason, detail) = end;
    rows.end(id, *at, *reason, detail.as_deref()).await
}
