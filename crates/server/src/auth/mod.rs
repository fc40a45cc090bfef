//! What a caller is told about itself.

mod context;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// All routes of this module, with their document.
pub(crate) fn routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    OpenApiRouter::new().routes(routes!(context::retrieve))
}
