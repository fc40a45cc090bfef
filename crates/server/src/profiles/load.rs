//! Loading a profile into a running session.

use axum::body::Body;
use browserd_api::Timestamp;
use browserd_api::profiles::ProfileInUse;
use browserd_fleet::LiveSession;
use browserd_rest::{Error, Result};
use browserd_store::ProfileRow;
use http::{HeaderValue, Request, header};
use tokio_util::io::ReaderStream;

use super::{Profiles, kept, key};
use crate::app::App;
use crate::relay;

/// An archive is sent in pieces of so many bytes.
const PIECE: usize = 128 << 10;

/// Puts what is saved of a profile into a running browser; answers with what is to be recorded of it.
pub(crate) async fn load(
    app: &App,
    session: &LiveSession,
    row: ProfileRow,
    save_changes: bool,
) -> Result<ProfileInUse> {
    if let Some(saved) = &row.saved {
        let reader = kept(app)?.read(&key(session.project(), &row.id, saved)?, saved.bytes).await?;
        let request = Request::put("/internal/profile")
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/zstd"))
            .header(header::CONTENT_LENGTH, HeaderValue::from(saved.bytes))
            .body(Body::from_stream(ReaderStream::with_capacity(reader, PIECE)));
        relay::carry_out(app, session, request.map_err(Error::internal)?).await?;
    }
    // One that is deleted meanwhile was there when it was asked for.
    let _ = app.mine::<Profiles>(session.project()).rows().used(&row.id, Timestamp::now()).await;
    let ProfileRow { id, name, created_at, .. } = row;
    Ok(ProfileInUse { id, name, created_at, save_changes })
}
