//! `GET /notes` and `GET /notes/{id_or_name}`.

use axum::Json;
use axum::extract::{Path, RawQuery};
use axum::response::Response;
use browserd_rest::{Refused, Result};

use super::wire::Note;
use super::{Notes, Shown as _};
use crate::resource::Mine;
use crate::resource::paging::ListParams;
use crate::resource::refusals::{Find, ListRows};

/// List notes
#[utoipa::path(get, path = "/notes", operation_id = "notes.list", tag = "notes", params(ListParams),
    responses((status = 200, description = "One page of notes.", body = Vec<Note>),
        Refused<ListRows>))]
pub(super) async fn list(mine: Mine<Notes>, RawQuery(query): RawQuery) -> Result<Response> {
    mine.list(query.as_deref()).await
}

/// Get a note
#[utoipa::path(get, path = "/notes/{id_or_name}", operation_id = "notes.retrieve", tag = "notes",
    params(("id_or_name" = String, Path, description = "Id or name of the note.")),
    responses((status = 200, description = "The note.", body = Note), Refused<Find<Notes>>))]
pub(super) async fn get(mine: Mine<Notes>, Path(id_or_name): Path<String>) -> Result<Json<Note>> {
    Ok(Json(Notes::show(mine.find(&id_or_name).await?)))
}
