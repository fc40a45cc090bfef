//! The route `/repl`.

use browserd_rest::body_limit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Repl, evaluate};

/// Largest cell with its request around it, bytes.
const BODY: usize = 8 << 20;

/// The REPL's route, as the guest serves it.
pub fn routes() -> OpenApiRouter<Repl> {
    OpenApiRouter::new().routes(routes!(evaluate::evaluate)).layer(body_limit(BODY))
}
