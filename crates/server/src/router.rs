//! All routes on one screen, what stands before them, and the document that describes them.

use axum::Router;
use axum::extract::FromRef as _;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, any, on};
use browserd_rest::{envelope, method_not_allowed, route_not_found};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::config::ServerConfig;
use crate::metrics::HttpMetrics;
use crate::openapi::Credential;
use crate::relay::RelayRequest;
use crate::token::CheckToken;
use crate::wire::auth::RequireKey;
use crate::wire::deadline::MeetDeadline;
use crate::wire::head::BoundHead;
use crate::wire::project::RequireProject;
use crate::wire::{deadline, head, log, require_key};
use crate::{
    auth, browsers, cdp, contract, docs, metrics, openapi, profiles, proxies, relay, replays,
    status, webdriver,
};

/// The whole router.
pub(crate) fn router(app: App) -> Router {
    let config = app.config();
    let unbuilt = contract::unbuilt(&built(&config.guest_openapi));

    let by_key = plain(key_routes(config.create_body_limit, config.json_body_limit))
        .layer(from_fn(envelope))
        .merge(relayed(&app, "/browsers/{id_or_name}", relay::by_key))
        .merge(contract::by_key(&unbuilt))
        .method_not_allowed_fallback(method_not_allowed);
    let by_key = require_key(app.keys().clone(), by_key);

    let by_token = plain(token_routes())
        .layer(from_fn(envelope))
        .merge(plain(webdriver::routes()))
        .route("/browser/webdriver/{*rest}", any(webdriver::rest))
        .merge(relayed(&app, relay::DIRECT, relay::by_token))
        .merge(contract::by_token(&unbuilt));

    let open = plain(open_routes()).layer(from_fn(envelope));

    by_key
        .merge(by_token)
        .merge(open)
        .fallback(route_not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn(deadline::meet))
        .layer(from_fn(head::bound))
        .layer(from_fn_with_state(HttpMetrics::from_ref(&app), log::observe))
        .with_state(app)
}

/// The document of all routes. `guest` is the guest's own, with paths such as `/process/exec`.
#[must_use]
pub fn document(guest: &OpenApi) -> OpenApi {
    let mut document = built(guest);
    let unbuilt = openapi::unbuilt(&contract::unbuilt(&document));
    document.merge(behind(Credential::Key, unbuilt));
    openapi::complete(&mut document);
    document
}

/// The routes that this version has: our own and the guest's.
fn built(guest: &OpenApi) -> OpenApi {
    let mut document = openapi::empty(guest);
    let by_key = key_routes(ServerConfig::CREATE_BODY_LIMIT, ServerConfig::JSON_BODY_LIMIT);
    for (credential, routes) in [
        (Credential::Key, by_key),
        (Credential::Token, token_routes().merge(webdriver::routes())),
        (Credential::None, open_routes()),
    ] {
        document.merge(behind(credential, routes.into_openapi()));
    }
    let in_sessions = openapi::in_sessions(guest);
    let relayed = openapi::guard::<RelayRequest>(Credential::Key, in_sessions);
    document.merge(behind(Credential::Key, relayed));
    document
}

/// Describes what is checked before routes that take a credential.
fn behind(credential: Credential, routes: OpenApi) -> OpenApi {
    match credential {
        Credential::Key => openapi::guard::<(BoundHead, MeetDeadline, RequireKey, RequireProject)>(
            credential, routes,
        ),
        Credential::Token => {
            openapi::guard::<(BoundHead, MeetDeadline, CheckToken)>(credential, routes)
        }
        Credential::None => openapi::guard::<(BoundHead, MeetDeadline)>(credential, routes),
    }
}

/// Our own routes that take an API key.
fn key_routes(create_limit: usize, json_limit: usize) -> OpenApiRouter<App> {
    resources(create_limit, json_limit).merge(auth::routes()).merge(metrics::routes())
}

/// Our own routes that take a token, but for those that are relayed.
fn token_routes() -> OpenApiRouter<App> {
    replays::view_routes().merge(cdp::routes())
}

/// Routes that take no credential.
fn open_routes() -> OpenApiRouter<App> {
    status::routes().merge(docs::routes())
}

/// The resources of a project, with their document: what is added here is served and described. The limits
/// are the longest bodies, in bytes, of `POST /browsers` and of every other route.
fn resources(create_limit: usize, json_limit: usize) -> OpenApiRouter<App> {
    browsers::routes(create_limit, json_limit)
        .merge(replays::routes(json_limit))
        .merge(profiles::routes(json_limit))
        .merge(proxies::routes(json_limit))
}

/// Routes for everything the guest's document has, and for nothing else.
fn relayed<H, T>(app: &App, prefix: &str, handler: H) -> Router<App>
where
    H: axum::handler::Handler<T, App> + Clone,
    T: 'static,
{
    let mut router = Router::new();
    for (path, item) in openapi::relayed(&app.config().guest_openapi) {
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

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn references(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                into.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, into));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, into)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_ids_are_unique() {
        let document = document(&OpenApi::default());
        let value = serde_json::to_value(&document).unwrap();
        let mut all = Vec::new();
        references(&value, &mut all);
        assert!(all.len() > 100);
        for reference in all {
            assert!(value.pointer(&reference[1..]).is_some(), "{reference}");
        }
        let mut ids: Vec<&str> = document
            .paths
            .paths
            .values()
            .flat_map(openapi::operations)
            .filter_map(|(_, operation)| operation.operation_id.as_deref())
            .collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn every_operation_of_the_contract_is_either_built_or_routed() {
        let unbuilt = contract::unbuilt(&built(&OpenApi::default()));
        assert!(!unbuilt.iter().any(|operation| operation.sdk == "browsers.create"));
        assert!(unbuilt.iter().any(|operation| operation.sdk == "browsers.process.exec"));
        // Building the routers proves that no two paths are in each other's way.
        let _: Router<App> = contract::by_key(&unbuilt).merge(contract::by_token(&unbuilt));
    }
}
