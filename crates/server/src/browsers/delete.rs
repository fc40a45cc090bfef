//! `DELETE /browsers/{id_or_name}`.

use axum::extract::Path;
use browserd_rest::{Refused, Result};
use http::StatusCode;

use crate::caller::Sessions;
use crate::refusal::{self, FindSession};

/// End a browser session
///
/// Answers at once: the session's URLs are dead, and everything in it is being cleared away.
/// Repeating it is fine.
#[utoipa::path(delete, path = "/browsers/{id_or_name}", operation_id = "browsers.delete_by_id", tag = "browsers",
    params(("id_or_name" = String, Path, description = "Id or name of the session.")),
    responses((status = 204, description = "The session has ended."),
        Refused<FindSession>))]
pub(crate) async fn delete(
    sessions: Sessions,
    Path(id_or_name): Path<String>,
) -> Result<StatusCode> {
    sessions.delete(&id_or_name).await.map_err(refusal::from_fleet)?;
    Ok(StatusCode::NO_CONTENT)
}
