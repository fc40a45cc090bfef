//! Taking a profile for a session, and loading it into the running one.

use std::time::Duration;

use browserd_api::profiles::ProfileInUse;
use browserd_api::{ErrorCode, ProjectId, Timestamp};
use browserd_fleet::{LiveSession, ProfileChoice, StepError};
use browserd_rest::Error;
use browserd_store::ProfileRow;
use tokio_util::io::ReaderStream;

use super::{Profiles, key};
use crate::relay::Call;
use crate::resource::Mine;

/// An archive is sent in pieces of so many bytes.
const PIECE: usize = 128 << 10;
/// How long a browser may take to have it; the largest one there may be is 2 GiB.
const LOADED_WITHIN: Duration = Duration::from_secs(300);

impl Profiles {
    /// The profile that a session of a project asks for, as it is once nobody is saving it any more.
    pub(crate) async fn take(
        &self,
        project: &ProjectId,
        choice: &ProfileChoice,
    ) -> Result<ProfileRow, Error> {
        let mine = Mine::<Self>::of(self.store(), project);
        let id = mine.find(&choice.id_or_name).await?.id;
        if !self.settled(&id).await {
            return Err(Error::new(
                ErrorCode::Conflict,
                "another session is still saving this profile; try again in a moment",
            ));
        }
        mine.find(id.as_str()).await
    }

    /// Puts what is saved of a profile into a running browser; answers with what is to be recorded of it.
    pub(crate) async fn load(
        &self,
        session: &LiveSession,
        row: ProfileRow,
        save_changes: bool,
    ) -> Result<ProfileInUse, StepError> {
        if let Some(saved) = &row.saved {
            let key = || key(session.project(), &row.id, saved);
            let reader = async { self.read(&key()?, saved.bytes).await };
            let unread = |Error(refusal)| StepError { refusal, maybe_done: false };
            let archive = ReaderStream::with_capacity(reader.await.map_err(unread)?, PIECE);
            let call = Call::put("/internal/profile", LOADED_WITHIN);
            let call = call.stream("application/zstd", saved.bytes, archive);
            if let Err(error) = self.guests().call(session, call).await {
                return Err(error.step(session).await);
            }
        }
        // One that is deleted meanwhile was there when it was asked for.
        let store = self.store();
        let rows = store.rows::<ProfileRow>(session.project());
        let _ = rows.used(&row.id, Timestamp::now()).await;
        let ProfileRow { id, name, created_at, .. } = row;
        Ok(ProfileInUse { id, name, created_at, save_changes })
    }
}
