//! The routes below `/curl`.

use axum::extract::DefaultBodyLimit;
use browserd_rest::body_limit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Curl, REQUEST_BODY, buffered, raw};

/// All routes of the room, as the guest serves them.
pub fn routes() -> OpenApiRouter<Curl> {
    OpenApiRouter::new()
        .routes(routes!(buffered::curl))
        // JSON writes some characters of a body in six.
        .layer(body_limit(2 * REQUEST_BODY))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(
                    raw::get,
                    raw::head,
                    raw::post,
                    raw::put,
                    raw::patch,
                    raw::delete,
                    raw::options
                ))
                .layer(DefaultBodyLimit::disable()),
        )
}
