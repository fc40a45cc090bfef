//! The routes below `/computer`.

use browserd_rest::body_limit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    Computer, batch, click_mouse, clipboard, cursor, drag_mouse, move_mouse, position, press_key,
    screenshot, scroll, type_text,
};

/// Largest body, bytes: 1 MiB of text, every byte of it escaped.
const BODY: usize = 8 << 20;

/// All computer routes, as the guest serves them.
pub fn routes() -> OpenApiRouter<Computer> {
    OpenApiRouter::new()
        .routes(routes!(move_mouse::move_mouse))
        .routes(routes!(click_mouse::click_mouse))
        .routes(routes!(drag_mouse::drag_mouse))
        .routes(routes!(scroll::scroll))
        .routes(routes!(type_text::type_text))
        .routes(routes!(press_key::press_key))
        .routes(routes!(cursor::cursor))
        .routes(routes!(position::get_mouse_position))
        .routes(routes!(clipboard::read))
        .routes(routes!(clipboard::write))
        .routes(routes!(screenshot::screenshot))
        .routes(routes!(batch::batch))
        .layer(body_limit(BODY))
}
