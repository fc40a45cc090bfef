//! The routes below `/playwright`.

use browserd_rest::body_limit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Playwright, delete, execute, list};

/// Largest script with its request around it, bytes.
const BODY: usize = 8 << 20;

/// All Playwright routes, as the guest serves them.
pub fn routes() -> OpenApiRouter<Playwright> {
    OpenApiRouter::new()
        .routes(routes!(execute::execute))
        .routes(routes!(list::list))
        .routes(routes!(delete::delete))
        .layer(body_limit(BODY))
}
