//! `POST /computer/cursor`.

use axum::extract::State;
use browserd_api::computer::SetCursorRequest;
use browserd_api::process::OkResponse;
use browserd_guest_http::refusals::{BodyRefusals, Refusals};
use browserd_rest::{Json, Result};

use super::Computer;
use super::action::Action;

/// Hide or show the mouse pointer.
///
/// On the screen and in screenshots, until it is set again. A headless session has no pointer that
/// could be seen: it answers `ok` and nothing changes.
#[utoipa::path(
    post,
    path = "/computer/cursor",
    operation_id = "browsers_computer_cursor",
    tag = "browsers/computer",
    request_body = SetCursorRequest,
    responses((status = 200, description = "Done, where there is a pointer.", body = OkResponse), Refusals, BodyRefusals),
)]
pub(super) async fn cursor(
    State(computer): State<Computer>,
    Json(request): Json<SetCursorRequest>,
) -> Result<axum::Json<OkResponse>> {
    computer.act(Action::Cursor(request.hidden)).await?;
    Ok(axum::Json(OkResponse { ok: true }))
}
