//! All routes on one screen, and what stands before them.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, any, on};
use browserd_rest::{envelope, method_not_allowed, route_not_found};
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::keys::ApiKeys;
use crate::wire::{auth, head, log, project};
use crate::{
    browsers, cdp, contract, docs, metrics, openapi, profiles, proxies, relay, replays, status,
    webdriver,
};

/// The whole router.
pub(crate) fn router(app: App) -> Router {
    let config = &app.config;
    let unbuilt = contract::unbuilt(&openapi::built(&config.guest_openapi));

    let resources = resources(config.create_body_limit, config.json_body_limit);
    let by_key = plain(resources.merge(metrics::routes()))
        .layer(from_fn(envelope))
        .merge(relayed(&app, "/browsers/{id_or_name}", relay::by_key))
        .merge(contract::by_key(&unbuilt))
        .method_not_allowed_fallback(method_not_allowed);
    let by_key = require_key(app.keys.clone(), by_key);

    let by_token = plain(cdp::routes().merge(replays::view_routes()))
        .layer(from_fn(envelope))
        .merge(plain(webdriver::routes()))
        .route("/browser/webdriver/{*rest}", any(webdriver::rest))
        .merge(relayed(&app, relay::DIRECT, relay::by_token))
        .merge(contract::by_token(&unbuilt));

    let open = plain(status::routes()).merge(plain(docs::routes())).layer(from_fn(envelope));

    by_key
        .merge(by_token)
        .merge(open)
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(head::bound))
        .layer(from_fn(log::observe))
        .with_state(app)
}

/// The resources of a project, with their document: what is added here is served and described. The limits
/// are the longest bodies, in bytes, of `POST /browsers` and of every other route.
pub(crate) fn resources(create_limit: usize, json_limit: usize) -> OpenApiRouter<App> {
    browsers::routes(create_limit, json_limit)
        .merge(replays::routes(json_limit))
        .merge(profiles::routes(json_limit))
        .merge(proxies::routes(json_limit))
}

/// Puts routes behind an API key, in the project of whoever has it.
pub(crate) fn require_key<S: Clone + Send + Sync + 'static>(
    keys: ApiKeys,
    routes: Router<S>,
) -> Router<S> {
    routes
        .route_layer(from_fn(project::require_own))
        .route_layer(from_fn_with_state(keys, auth::require_key))
}

/// Routes for everything the guest's document has, and for nothing else.
fn relayed<H, T>(app: &App, prefix: &str, handler: H) -> Router<App>
where
    H: axum::handler::Handler<T, App> + Clone,
    T: 'static,
{
    let mut router = Router::new();
    for (path, item) in openapi::relayed(&app.config.guest_openapi) {
        for (method, _) in openapi::operations(item) {
            if let Ok(filter) = MethodFilter::try_from(method) {
                router = router.route(&format!("{prefix}{path}"), on(filter, handler.clone()));
            }
        }
    }
    router
}

fn plain(routes: OpenApiRouter<App>) -> Router<App> {
    routes.split_for_parts().0
}
