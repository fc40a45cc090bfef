//! Upstream proxies: create, list, get, rename, delete, check. One file an action.
//!
//! Owns their routes and rows, and who goes through which: a proxy that is deleted is taken away from
//! the sessions that use it, whose traffic then stops instead of leaving by another way.

pub(crate) mod check;
mod create;
mod delete;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod get;
mod list;
mod update;
pub(crate) mod validate;

use std::sync::Arc;

use axum::extract::FromRef;
use browserd_api::proxies::{CustomProxy, Proxy, ProxyStatus, ProxyType};
use browserd_api::{ErrorCode, ProjectId, ProxyId};
use browserd_fleet::{Fleet, ProxyChoice};
use browserd_protocol::Route;
use browserd_rest::{Result, body_limit};
use browserd_store::{ProxyRow, Store};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::resource::{Mine, Resource, Shown};

pub(crate) use check::Checks;

/// All routes of the resource, with their document.
pub(crate) fn routes<S>(json_limit: usize) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<dyn Store>: FromRef<S>,
    Fleet: FromRef<S>,
    Arc<Checks>: FromRef<S>,
{
    OpenApiRouter::default()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, delete::delete, update::update))
        .routes(routes!(check::check))
        .layer(body_limit(json_limit))
}

/// Proxies as a resource.
pub(crate) enum Proxies {}

impl Resource for Proxies {
    type Row = ProxyRow;
    const ONE: &'static str = "proxy";
    const MANY: &'static str = "proxies";
    const NOT_FOUND: ErrorCode = ErrorCode::ProxyNotFound;
    const AMBIGUOUS: ErrorCode = ErrorCode::AmbiguousProxyName;
}

/// The proxy that a session of a project asks for, and the egress route through it.
pub(crate) async fn route(
    store: &Arc<dyn Store>,
    project: &ProjectId,
    choice: &ProxyChoice,
) -> Result<(Option<ProxyId>, Route)> {
    let mine = Mine::<Proxies>::of(Arc::clone(store), project);
    let row = match choice {
        ProxyChoice::Direct => return Ok((None, Route::Direct)),
        ProxyChoice::Id(id) => mine.find(id.as_str()).await?,
        ProxyChoice::Name(name) => mine.named(name).await?,
    };
    Ok((Some(row.id), Route::Upstream(Box::new(row.upstream))))
}

impl Shown for Proxies {
    type Body = Proxy;

    fn show(row: ProxyRow) -> Proxy {
        let upstream = row.upstream;
        Proxy {
            id: row.id,
            name: row.name,
            kind: ProxyType::Custom,
            protocol: upstream.protocol,
            bypass_hosts: upstream.bypass_hosts,
            config: CustomProxy {
                host: upstream.host,
                port: upstream.port,
                username: upstream.username,
                has_password: upstream.password.is_some(),
                has_ca_bundle: false,
            },
            status: row.checked.map(|(_, available)| status(available)),
            last_checked: row.checked.map(|(at, _)| at),
            unavailable_because: None,
        }
    }
}

fn status(available: bool) -> ProxyStatus {
    if available { ProxyStatus::Available } else { ProxyStatus::Unavailable }
}
