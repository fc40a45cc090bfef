//! Recording a session's end, now or later.

use std::time::Duration;

use browserd_api::browser::EndReason;
use browserd_api::{SessionId, Timestamp};
use browserd_store::{Rows, SessionRow, StoreError};

/// How often the end of a session is tried to be recorded once it has been cleared away, and the
/// wait before the second time; it doubles. A full disk is the likely cause, and clearing the
/// session away the likely cure.
const RECORD_TRIES: u32 = 6;
const RECORD_PAUSE: Duration = Duration::from_millis(500);

/// An end.
pub(super) struct End {
    pub(super) at: Timestamp,
    pub(super) reason: EndReason,
    pub(super) detail: Option<String>,
}

/// What is still to be recorded of a session that has ended.
#[derive(Default)]
pub(super) struct Unrecorded {
    pub(super) end: Option<End>,
    /// Why its profile was not saved.
    pub(super) save_error: Option<String>,
}

pub(super) async fn record(
    rows: Rows<'_, SessionRow>,
    id: &SessionId,
    end: &End,
) -> Result<(), StoreError> {
    rows.end(id, end.at, end.reason, end.detail.as_deref()).await
}

impl Unrecorded {
    async fn record(&self, rows: Rows<'_, SessionRow>, id: &SessionId) -> Result<(), StoreError> {
        if let Some(end) = &self.end {
            record(rows, id, end).await?;
        }
        if let Some(why) = &self.save_error {
            rows.profile_not_saved(id, why).await?;
        }
        Ok(())
    }

    /// Records what the store refused before. Should it go on refusing, `DELETE` or the next server's
    /// start will record the end.
    pub(super) async fn record_at_last(self, rows: Rows<'_, SessionRow>, id: &SessionId) {
        if self.end.is_none() && self.save_error.is_none() {
            return;
        }
        let mut pause = RECORD_PAUSE;
        for left in (0..RECORD_TRIES).rev() {
            match self.record(rows, id).await {
                Ok(()) => {
                    tracing::info!(session = %id, "the session's end is in the database now");
                    return;
                }
                Err(error) => tracing::error!(
                    session = %id, %error, tries_left = left,
                    "could not write the session's end into the database; its row does not say all of it \
                     until a DELETE or the next start of the server"
                ),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }
}
