//! `GET /proxies`.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use browserd_api::proxies::Proxy;
use browserd_rest::{Error, Result};

use super::show;
use crate::app::App;
use crate::paging::{self, ListParams};

/// List proxies
///
/// Newest first.
#[utoipa::path(get, path = "/proxies", operation_id = "proxies.list", tag = "proxies",
    params(ListParams),
    responses((status = 200, description = "One page of proxies.", body = Vec<Proxy>,
        headers(("x-limit" = u32, description = "The limit in force."),
            ("x-offset" = u32, description = "The offset in force."),
            ("x-has-more" = bool, description = "Whether more follow."),
            ("x-next-offset" = u32, description = "Offset of the next page, 0 when there is none.")))))]
pub(crate) async fn list(State(app): State<App>, RawQuery(query): RawQuery) -> Result<Response> {
    let filter = paging::filter(&query.unwrap_or_default())?;
    let listed = app.fleet.store().proxies().list(&filter).await;
    let (rows, more) = listed.map_err(Error::internal)?;
    let proxies: Vec<Proxy> = rows.into_iter().map(show).collect();
    Ok(paging::answer(&proxies, filter.limit, filter.offset, more))
}
