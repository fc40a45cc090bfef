//! The route `/repl`.

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Repl, evaluate};

/// Largest cell with its request around it, bytes.
const BODY: usize = 8 << 20;

/// The REPL's route, as the guest serves it.
pub fn routes() -> OpenApiRouter<Repl> {
    OpenApiRouter::new().routes(routes!(evaluate::evaluate)).layer(DefaultBodyLimit::max(BODY))
}
