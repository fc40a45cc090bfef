//! `PATCH /notes/{id_or_name}` and `DELETE /notes/{id_or_name}`.

use axum::extract::Path;
use axum::response::Response;
use browserd_rest::{ReadBody, Refused, Result};
use http::StatusCode;

use super::Notes;
use super::wire::{Note, WriteNote};
use crate::fields::Checked;
use crate::resource::refusals::{Find, Write};
use crate::resource::{Mine, changed};

/// Change a note
#[utoipa::path(patch, path = "/notes/{id_or_name}", operation_id = "notes.update", tag = "notes",
    params(("id_or_name" = String, Path, description = "Id or name of the note.")),
    request_body(content = WriteNote, description = "What changes."),
    responses((status = 200, description = "The note after the change.", body = Note),
        Refused<(ReadBody, Find<Notes>, Write<Notes>)>))]
pub(super) async fn update(
    mine: Mine<Notes>,
    Path(id_or_name): Path<String>,
    browserd_rest::Json(body): browserd_rest::Json<Checked<WriteNote>>,
) -> Result<Response> {
    let (asked, ignored) = body.finish()?;
    let row = mine
        .update(&id_or_name, |row| {
            if asked.name.is_some() {
                row.name.clone_from(&asked.name);
            }
            if let Some(text) = &asked.text {
                row.text.clone_from(text);
            }
        })
        .await?;
    Ok(changed::<Notes>(row, &ignored))
}

/// Delete a note
#[utoipa::path(delete, path = "/notes/{id_or_name}", operation_id = "notes.delete", tag = "notes",
    params(("id_or_name" = String, Path, description = "Id or name of the note.")),
    responses((status = 204, description = "The note is gone."), Refused<Find<Notes>>))]
pub(super) async fn delete(
    mine: Mine<Notes>,
    Path(id_or_name): Path<String>,
) -> Result<StatusCode> {
    mine.delete(&id_or_name).await?;
    Ok(StatusCode::NO_CONTENT)
}
