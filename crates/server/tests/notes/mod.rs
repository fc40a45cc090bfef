//! Notes: a resource that is there only in tests, and shows what one is made of. The files of this folder
//! are all of it; `docs/adding-a-resource.md` says where they are when it is a real one.

mod change;
mod create;
mod read;
mod row;
mod test;
mod wire;

use std::sync::Arc;

use browserd_api::ErrorCode;
use browserd_store::Store;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Resource, Shown};
use row::NoteRow;
use wire::Note;

pub(crate) struct Notes;

impl Resource for Notes {
    type Row = NoteRow;
    const ONE: &'static str = "note";
    const MANY: &'static str = "notes";
    const NOT_FOUND: ErrorCode = ErrorCode::NotFound;
}

impl Shown for Notes {
    type Body = Note;

    fn show(row: NoteRow) -> Note {
        let NoteRow { id, name, text, tags, created_at } = row;
        Note { id, name, text, tags, created_at }
    }
}

fn routes() -> OpenApiRouter<Arc<dyn Store>> {
    OpenApiRouter::default().routes(routes!(read::list, create::create)).routes(routes!(
        read::get,
        change::update,
        change::delete
    ))
}
