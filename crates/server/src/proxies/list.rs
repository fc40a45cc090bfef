//! `GET /proxies`.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use browserd_api::ApiError;
use browserd_api::proxies::Proxy;
use browserd_rest::{Error, Result};
use browserd_store::ListFilter;
use serde::Deserialize;
use url::form_urlencoded;
use utoipa::IntoParams;

use super::show;
use crate::app::App;
use crate::fields::Faults;
use crate::paging;

/// Which proxies to list; read by hand so that every wrong one is named.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters; parse() reads them")]
pub(crate) struct ListParams {
    /// At most so many.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// Leave out so many first.
    #[param(minimum = 0, default = 0)]
    offset: Option<u32>,
    /// The name, in any case.
    name: Option<String>,
    /// Part of name or host, in any case, or the exact id.
    query: Option<String>,
}

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
    let filter = parse(&query.unwrap_or_default())?;
    let listed = app.fleet.store().proxies().list(&filter).await;
    let (rows, more) = listed.map_err(Error::internal)?;
    let proxies: Vec<Proxy> = rows.into_iter().map(show).collect();
    Ok(paging::answer(&proxies, filter.limit, filter.offset, more))
}

/// Reads the query; every parameter that does not fit is named. Unknown ones are ignored, and of
/// one given twice the last counts.
fn parse(query: &str) -> Result<ListFilter> {
    let mut faults = Faults::default();
    let mut filter = ListFilter { limit: paging::LIMIT_DEFAULT, ..ListFilter::default() };
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "limit" => filter.limit = paging::limit(&value, &mut faults),
            "offset" => filter.offset = paging::offset(&value, &mut faults),
            "name" => filter.name = Some(value.into_owned()).filter(|name| !name.is_empty()),
            "query" => filter.query = Some(value.into_owned()).filter(|query| !query.is_empty()),
            _ => {}
        }
    }
    faults.into_result().map_err(|faults| Error(ApiError::fields(faults)))?;
    Ok(filter)
}
