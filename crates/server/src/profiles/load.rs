//! Loading a profile into a running session.

use std::time::Duration;

use axum::body::Body;
use browserd_api::Timestamp;
use browserd_api::profiles::ProfileInUse;
use browserd_fleet::{LiveSession, StepError};
use browserd_rest::Error;
use browserd_store::ProfileRow;
use http::Method;
use tokio_util::io::ReaderStream;

use super::{Profiles, kept, key};
use crate::app::App;
use crate::relay::Call;

/// An archive is sent in pieces of so many bytes.
const PIECE: usize = 128 << 10;
/// How long a browser may take to have it; the largest one there may be is 2 GiB.
const LOADED_WITHIN: Duration = Duration::from_secs(300);

/// Puts what is saved of a profile into a running browser; answers with what is to be recorded of it.
pub(crate) async fn load(
    app: &App,
    session: &LiveSession,
    row: ProfileRow,
    save_changes: bool,
) -> Result<ProfileInUse, StepError> {
    if let Some(saved) = &row.saved {
        let key = || key(session.project(), &row.id, saved);
        let reader = async { kept(app)?.read(&key()?, saved.bytes).await };
        let unread = |Error(refusal)| StepError { refusal, maybe_done: false };
        let archive = ReaderStream::with_capacity(reader.await.map_err(unread)?, PIECE);
        let call = Call::new(Method::PUT, "/internal/profile", LOADED_WITHIN).body(
            "application/zstd",
            Some(saved.bytes),
            Body::from_stream(archive),
        );
        if let Err(error) = app.guests.call(session, call).await {
            return Err(error.step(session).await);
        }
    }
    // One that is deleted meanwhile was there when it was asked for.
    let _ = app.mine::<Profiles>(session.project()).rows().used(&row.id, Timestamp::now()).await;
    let ProfileRow { id, name, created_at, .. } = row;
    Ok(ProfileInUse { id, name, created_at, save_changes })
}
