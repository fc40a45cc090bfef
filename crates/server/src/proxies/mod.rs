//! Upstream proxies: create, list, get, rename, delete, check. One file an action.
//!
//! Owns their routes and rows, and who goes through which: a proxy that is deleted is taken away from
//! the sessions that use it, whose traffic then stops instead of leaving by another way.

mod check;
mod create;
mod delete;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod get;
mod list;
mod update;
mod validate;

use axum::extract::DefaultBodyLimit;
use browserd_api::proxies::{CustomProxy, Proxy, ProxyStatus, ProxyType};
use browserd_api::{ErrorCode, ProxyId};
use browserd_fleet::ProxyChoice;
use browserd_protocol::Route;
use browserd_rest::{Error, Result};
use browserd_store::{ListFilter, ProxyRow, StoreError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

/// All routes of the resource, with their document.
pub(crate) fn routes(json_limit: usize) -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, delete::delete, update::update))
        .routes(routes!(check::check))
        .layer(DefaultBodyLimit::max(json_limit))
}

/// The proxy that a session asks for, and the egress route through it.
pub(crate) async fn route(app: &App, choice: &ProxyChoice) -> Result<(Option<ProxyId>, Route)> {
    let row = match choice {
        ProxyChoice::Direct => return Ok((None, Route::Direct)),
        ProxyChoice::Id(id) => find(app, id.as_str()).await?,
        ProxyChoice::Name(name) => named(app, name).await?.ok_or_else(|| not_found(name))?,
    };
    Ok((Some(row.id), Route::Upstream(Box::new(row.upstream))))
}

/// The proxy with this id, or the one with this name.
async fn find(app: &App, id_or_name: &str) -> Result<ProxyRow> {
    let proxies = app.fleet.store().proxies();
    if let Ok(id) = id_or_name.parse()
        && let Some(row) = proxies.by_id(&id).await.map_err(Error::internal)?
    {
        return Ok(row);
    }
    named(app, id_or_name).await?.ok_or_else(|| not_found(id_or_name))
}

/// The one proxy with this name.
async fn named(app: &App, name: &str) -> Result<Option<ProxyRow>> {
    let filter = ListFilter { name: Some(name.to_owned()), limit: 1, ..ListFilter::default() };
    let listed = app.fleet.store().proxies().list(&filter).await;
    let (mut rows, more) = listed.map_err(Error::internal)?;
    if more {
        return Err(Error::new(
            ErrorCode::AmbiguousProxyName,
            format!("several proxies are called {:?}; say the id", shown(name)),
        ));
    }
    Ok(rows.pop())
}

pub(crate) fn not_found(id_or_name: &str) -> Error {
    Error::new(
        ErrorCode::ProxyNotFound,
        format!("no proxy has the id or name {:?}; GET /proxies lists them", shown(id_or_name)),
    )
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

/// What came of a change to a proxy that was just there.
fn changed(id_or_name: &str) -> impl Fn(StoreError) -> Error + '_ {
    move |error| match error {
        StoreError::NotFound => not_found(id_or_name),
        other => Error::internal(other),
    }
}

/// A proxy as clients see it.
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

fn status(available: bool) -> ProxyStatus {
    if available { ProxyStatus::Available } else { ProxyStatus::Unavailable }
}
