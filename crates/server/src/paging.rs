//! Lists in pages, as the public API has them: `limit` and `offset` in, four headers out.

use axum::Json;
use axum::response::{IntoResponse, Response};
use browserd_api::ApiError;
use browserd_rest::{Error, Result};
use browserd_store::ListFilter;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::IntoParams;

use crate::fields::Faults;

/// Entries of a page nobody says more about.
pub(crate) const LIMIT_DEFAULT: u32 = 20;
/// Most entries of a page.
pub(crate) const LIMIT_MAX: u32 = 100;

/// The parameter `limit`.
pub(crate) fn limit(value: &str, faults: &mut Faults) -> u32 {
    match value.parse() {
        Ok(limit @ 1..=LIMIT_MAX) => limit,
        _ => {
            faults.add("limit", format!("must be a number from 1 to {LIMIT_MAX}"));
            LIMIT_DEFAULT
        }
    }
}

/// The parameter `offset`.
pub(crate) fn offset(value: &str, faults: &mut Faults) -> u32 {
    match value.parse::<i32>() {
        Ok(offset @ 0..) => offset.unsigned_abs(),
        _ => {
            faults.add("offset", "must be a number from 0 to 2147483647");
            0
        }
    }
}

/// One page.
pub(crate) fn answer<T: Serialize>(
    items: &[T],
    limit: u32,
    offset: u32,
    has_more: bool,
) -> Response {
    let next = if has_more { offset.saturating_add(items.len() as u32) } else { 0 };
    let mut response = Json(items).into_response();
    for (name, value) in [
        ("x-limit", HeaderValue::from(limit)),
        ("x-offset", HeaderValue::from(offset)),
        ("x-has-more", HeaderValue::from_static(if has_more { "true" } else { "false" })),
        ("x-next-offset", HeaderValue::from(next)),
    ] {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    response
}

/// Which proxies or profiles to list; read by hand so that every wrong parameter is named.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters; filter() reads them")]
pub(crate) struct ListParams {
    /// At most so many.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
    /// Leave out so many first.
    #[param(minimum = 0, default = 0)]
    offset: Option<u32>,
    /// The name, in any case.
    name: Option<String>,
    /// Part of the name, or of a proxy's host, in any case, or the exact id.
    query: Option<String>,
}

/// Reads the query of such a list; every parameter that does not fit is named. Unknown ones are ignored,
/// and of one given twice the last counts.
pub(crate) fn filter(query: &str) -> Result<ListFilter> {
    let mut faults = Faults::default();
    let mut filter = ListFilter { limit: LIMIT_DEFAULT, ..ListFilter::default() };
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*key {
            "limit" => filter.limit = limit(&value, &mut faults),
            "offset" => filter.offset = offset(&value, &mut faults),
            "name" => filter.name = Some(value.into_owned()).filter(|name| !name.is_empty()),
            "query" => filter.query = Some(value.into_owned()).filter(|query| !query.is_empty()),
            _ => {}
        }
    }
    faults.into_result().map_err(|faults| Error(ApiError::fields(faults)))?;
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_whole_or_refused_by_name() {
        let read = filter("limit=7&offset=3&name=A%20b&query=&other=1").unwrap();
        assert_eq!((read.limit, read.offset), (7, 3));
        assert_eq!((read.name.as_deref(), read.query), (Some("A b"), None));
        let error = filter("limit=0&offset=x").unwrap_err();
        let fields: Vec<&str> = error.0.body().details.iter().map(|d| d.code.as_str()).collect();
        assert_eq!(fields, ["limit", "offset"]);
    }
}
