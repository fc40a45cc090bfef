//! The routes below `/process`.

use browserd_rest::body_limit;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Processes, attach, exec, kill, list, resize, spawn, status, stdin, stream, wait};

/// Largest body of any other route, bytes: the kernel takes about 2 MiB of arguments and
/// environment.
const BODY: usize = 4 << 20;

/// All process routes, as the guest serves them.
pub fn routes() -> OpenApiRouter<Processes> {
    OpenApiRouter::new()
        .routes(routes!(exec::exec))
        .routes(routes!(spawn::spawn))
        .routes(routes!(list::list))
        .routes(routes!(status::status))
        .routes(routes!(kill::kill))
        .routes(routes!(resize::resize))
        .routes(routes!(stream::stdout_stream))
        .routes(routes!(wait::wait))
        .routes(routes!(attach::attach))
        .layer(body_limit(BODY))
        .merge(OpenApiRouter::new().routes(routes!(stdin::stdin)).layer(body_limit(stdin::BODY)))
}
