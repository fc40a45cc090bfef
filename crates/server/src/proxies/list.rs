//! `GET /proxies`.

use axum::extract::RawQuery;
use axum::response::Response;
use browserd_api::proxies::Proxy;
use browserd_rest::{Refused, Result};

use super::Proxies;
use crate::resource::Mine;
use crate::resource::paging::ListParams;
use crate::resource::refusals::ListRows;

/// List proxies
///
/// Newest first.
#[utoipa::path(get, path = "/proxies", operation_id = "proxies.list", tag = "proxies",
    params(ListParams),
    responses((status = 200, description = "One page of proxies.", body = Vec<Proxy>,
        headers(("x-limit" = u32, description = "The limit in force."),
            ("x-offset" = u32, description = "The offset in force."),
            ("x-has-more" = bool, description = "Whether more follow."),
            ("x-next-offset" = u32, description = "Offset of the next page, 0 when there is none."))),
        Refused<ListRows>))]
pub(crate) async fn list(mine: Mine<Proxies>, RawQuery(query): RawQuery) -> Result<Response> {
    mine.list(query.as_deref()).await
}
