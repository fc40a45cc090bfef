//! `POST /notes`.

use axum::response::Response;
use browserd_api::Timestamp;
use browserd_rest::{ReadBody, Refused, Result};

use super::Notes;
use super::row::NoteRow;
use super::wire::{Note, NoteId, WriteNote};
use crate::fields::Checked;
use crate::resource::refusals::Write;
use crate::resource::{Mine, created};

/// Create a note
#[utoipa::path(post, path = "/notes", operation_id = "notes.create", tag = "notes",
    request_body(content = WriteNote, description = "What it says."),
    responses((status = 201, description = "The note.", body = Note),
        Refused<(ReadBody, Write<Notes>)>))]
pub(super) async fn create(
    mine: Mine<Notes>,
    browserd_rest::Json(body): browserd_rest::Json<Checked<WriteNote>>,
) -> Result<Response> {
    let (asked, ignored) = body.finish()?;
    let row = NoteRow {
        id: NoteId::generate(),
        name: asked.name,
        text: asked.text.unwrap_or_default(),
        tags: asked.team.map(|team| ("team".to_owned(), team)).into_iter().collect(),
        created_at: Timestamp::now(),
    };
    mine.insert(&row).await?;
    Ok(created::<Notes>(row, &ignored))
}
