//! Taking a profile for a session, and loading it into the running one.

use std::time::Duration;

use browserd_api::profiles::ProfileInUse;
use browserd_api::{ErrorCode, ProfileId, ProjectId, Timestamp};
use browserd_fleet::{LiveSession, StepError};
use browserd_rest::Error;
use browserd_store::ProfileRow;
use tokio_util::io::ReaderStream;

use super::Profiles;
use crate::relay::Call;
use crate::resource::Mine;

/// An archive is sent in pieces of so many bytes.
const PIECE: usize = 128 << 10;
/// How long a browser may take to have it; the largest one there may be is 2 GiB.
const LOADED_WITHIN: Duration = Duration::from_secs(300);

impl Profiles {
    /// The profile that a session of a project asks for, once those that are saving it have done so. Only
    /// which one it is: what is saved of it may change until it is loaded.
    pub(crate) async fn take(
        &self,
        project: &ProjectId,
        id_or_name: &str,
    ) -> Result<ProfileId, Error> {
        let id = Mine::<Self>::of(self.store(), project).find(id_or_name).await?.id;
        if !self.settled(&id).await {
            return Err(Error::new(
                ErrorCode::Conflict,
                "another session is still saving this profile; try again in a moment",
            ));
        }
        Ok(id)
    }

    /// Puts what is saved of a profile now into a running browser; answers with what is to be recorded
    /// of it.
    pub(crate) async fn load(
        &self,
        session: &LiveSession,
        id: &ProfileId,
        save_changes: bool,
    ) -> Result<ProfileInUse, StepError> {
        let opened = self.open(session.project(), id).await;
        let unread = |Error(refusal)| StepError { refusal, maybe_done: false };
        let (row, archive) = opened.map_err(unread)?;
        if let (Some(archive), Some(saved)) = (archive, &row.saved) {
            let call = Call::put("/internal/profile", LOADED_WITHIN);
            let archive = ReaderStream::with_capacity(archive, PIECE);
            let call = call.stream("application/zstd", saved.bytes, archive);
            if let Err(error) = self.guests().call(session, call).await {
                return Err(error.step(session).await);
            }
        }
        // One that is deleted meanwhile was there when it was loaded.
        let store = self.store();
        let rows = store.rows::<ProfileRow>(session.project());
        let _ = rows.used(id, Timestamp::now()).await;
        let ProfileRow { id, name, created_at, .. } = row;
        Ok(ProfileInUse { id, name, created_at, save_changes, save_error: None })
    }
}
