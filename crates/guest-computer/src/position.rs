//! `POST /computer/get_mouse_position`.

use axum::extract::State;
use browserd_api::computer::MousePosition;
use browserd_guest_http::refusals::Refusals;
use browserd_rest::Result;

use super::Computer;

/// Where the mouse is.
///
/// `x` and `y` in pixels from the upper left corner of the screen, asked of the X server, whoever
/// moved it. Headless, it is where the last action left it; 0, 0 before the first.
#[utoipa::path(
    post,
    path = "/computer/get_mouse_position",
    operation_id = "browsers_computer_get_mouse_position",
    tag = "browsers/computer",
    responses((status = 200, description = "The position.", body = MousePosition), Refusals),
)]
pub(super) async fn get_mouse_position(
    State(computer): State<Computer>,
) -> Result<axum::Json<MousePosition>> {
    let at = computer
        .turn(|hand| {
            Box::pin(async { hand.device.position().await.map_err(|error| error.before()) })
        })
        .await?;
    Ok(axum::Json(MousePosition { x: at.x, y: at.y }))
}
