//! The rest of the contract: operations of the public API that this version does not have.
//!
//! Each is routed and answers 501 with its name, so that a client learns what is missing and not that
//! a path is wrong; each is in the document with that answer.

use axum::Router;
use axum::extract::{Extension, FromRef};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use browserd_api::ErrorCode;
use browserd_api::operations::{self, Operation};
use browserd_fleet::Fleet;
use browserd_rest::Error;
use utoipa::openapi::OpenApi;

use crate::openapi::{method_of, operation_at};
use crate::relay;
use crate::token::{TokenSession, Tokens};

/// Below this, clients may also come by direct routing.
const SESSION: &str = "/browsers/{id_or_name}/";

/// Operations of the contract that `built` does not have.
pub(crate) fn unbuilt(built: &OpenApi) -> Vec<Operation> {
    operations::all()
        .filter(|operation| {
            method_of(operation.method)
                .is_some_and(|method| operation_at(built, operation.path, &method).is_none())
        })
        .collect()
}

/// Routes of the unbuilt operations that take an API key.
pub(crate) fn by_key<S>(unbuilt: &[Operation]) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let mut router = Router::new();
    for operation in unbuilt {
        if let Some(filter) = filter(operation.method) {
            router = router.route(operation.path, on(filter, missing).layer(Extension(*operation)));
        }
    }
    router
}

/// Routes of those a client may reach by direct routing, with a session token.
pub(crate) fn by_token<S>(unbuilt: &[Operation]) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Tokens: FromRef<S>,
    Fleet: FromRef<S>,
{
    let mut router = Router::new();
    for operation in unbuilt {
        if let (Some(filter), Some(rest)) =
            (filter(operation.method), operation.path.strip_prefix(SESSION))
        {
            let path = format!("{}/{rest}", relay::DIRECT);
            router =
                router.route(&path, on(filter, missing_in_session).layer(Extension(*operation)));
        }
    }
    router
}

async fn missing(Extension(operation): Extension<Operation>) -> Response {
    Error::new(
        ErrorCode::NotImplemented,
        format!(
            "{} ({} {}) is not part of this version of browserd yet",
            operation.sdk, operation.method, operation.path
        ),
    )
    .into_response()
}

async fn missing_in_session(_: TokenSession, operation: Extension<Operation>) -> Response {
    missing(operation).await
}

fn filter(method: &str) -> Option<MethodFilter> {
    Some(match method {
        "GET" => MethodFilter::GET,
        "POST" => MethodFilter::POST,
        "PUT" => MethodFilter::PUT,
        "PATCH" => MethodFilter::PATCH,
        "DELETE" => MethodFilter::DELETE,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_contract_has_a_filter() {
        assert!(operations::all().all(|operation| filter(operation.method).is_some()));
    }
}
