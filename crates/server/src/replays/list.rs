//! `GET /browsers/{id_or_name}/replays`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use browserd_api::replays::Replay;
use browserd_rest::{Refused, Result};

use super::{Replays, session, show};
use crate::caller::Sessions;
use crate::public_url::PublicUrl;
use crate::refusal::FindSession;
use crate::resource::Mine;
use crate::resource::refusals::from_store;
use crate::token::Tokens;
use crate::wire::log::AboutSession;

/// List recordings
///
/// All recordings of a session, the oldest first, also when the session has ended.
#[utoipa::path(get, path = "/browsers/{id_or_name}/replays", operation_id = "browsers.replays.list", tag = "replays",
    params(("id_or_name" = String, Path, description = "Id or name of the session.")),
    responses((status = 200, description = "The recordings.", body = Vec<Replay>),
        Refused<FindSession>))]
pub(super) async fn list(
    State(tokens): State<Tokens>,
    State(public): State<Arc<PublicUrl>>,
    sessions: Sessions,
    mine: Mine<Replays>,
    Path(id_or_name): Path<String>,
) -> Result<Response> {
    let session = session(&sessions, &id_or_name).await?;
    let rows = mine.rows().of_session(&session.id).await.map_err(from_store)?;
    let shown = rows.iter().map(|row| show(&tokens, &public, mine.project(), row));
    let replays = shown.collect::<Result<Vec<Replay>>>()?;
    let mut response = Json(replays).into_response();
    response.extensions_mut().insert(AboutSession(session.id));
    Ok(response)
}
