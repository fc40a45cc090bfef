//! Lists in pages, as the public API has them: `limit` and `offset` in, four headers out.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue};
use serde::Serialize;

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
