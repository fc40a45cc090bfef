//! Lists in pages, as the public API has them: `limit` and `offset` in, four headers out.

use axum::Json;
use axum::response::{IntoResponse, Response};
use browserd_rest::Result;
use browserd_store::{Filter, Table};
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::IntoParams;

use crate::fields::ValidationErrors;

/// Entries of a page nobody says more about.
pub(crate) const LIMIT_DEFAULT: u32 = 20;
/// Most tags of anything that has them, and most to ask for.
pub(crate) const TAGS_MAX: usize = 50;
/// Most entries of a page.
pub(crate) const LIMIT_MAX: u32 = 100;

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

/// Which of a resource to list; read by hand so that every wrong parameter is named.
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

/// Reads the query of such a list. Unknown parameters are ignored, and of one given twice the last counts.
pub(crate) fn filter(query: &str, table: &Table) -> Result<Filter> {
    let mut asked = Asked::of(table);
    for (parameter, value) in form_urlencoded::parse(query.as_bytes()) {
        asked.read(&parameter, &value);
    }
    asked.finish()
}

/// A query of a list that is being read; every parameter that does not fit will be named.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What is asked for so far.
    pub(crate) filter: Filter,
    /// What does not fit.
    pub(crate) errors: ValidationErrors,
    /// Whether there are tags to ask for.
    tagged: bool,
}

impl Asked {
    /// Nothing is asked for yet.
    pub(crate) fn of(table: &Table) -> Self {
        Self {
            filter: Filter { limit: LIMIT_DEFAULT, ..Filter::default() },
            errors: ValidationErrors::default(),
            tagged: table.columns.iter().any(|column| column.name == "tags"),
        }
    }

    /// Reads a parameter that every list has.
    pub(crate) fn read(&mut self, parameter: &str, value: &str) {
        let text = || Some(value.to_owned()).filter(|text| !text.is_empty());
        match parameter {
            "limit" => match value.parse() {
                Ok(limit @ 1..=LIMIT_MAX) => self.filter.limit = limit,
                _ => {
                    self.errors.add("limit", format!("must be a number from 1 to {LIMIT_MAX}"));
                }
            },
            "offset" => match value.parse::<i32>() {
                Ok(offset @ 0..) => self.filter.offset = offset.unsigned_abs(),
                _ => self.errors.add("offset", "must be a number from 0 to 2147483647"),
            },
            "name" => self.filter.name = text(),
            "query" => self.filter.query = text(),
            other => {
                let tag = other.strip_prefix("tags[").and_then(|rest| rest.strip_suffix(']'));
                if let Some(tag) = tag.filter(|_| self.tagged) {
                    self.filter.tags.insert(tag.to_owned(), value.to_owned());
                }
            }
        }
    }

    /// What is asked for, if all of it fits.
    pub(crate) fn finish(mut self) -> Result<Filter> {
        if self.filter.tags.len() > TAGS_MAX {
            self.errors.add("tags", format!("at most {TAGS_MAX} can be asked for"));
        }
        self.errors.into_result()?;
        Ok(self.filter)
    }
}

#[cfg(test)]
mod tests {
    use browserd_store::{ProxyRow, Row as _, SessionRow};

    use super::*;

    #[test]
    fn a_filter_is_read_whole_or_refused_by_name() {
        let query = "limit=7&offset=3&name=A%20b&query=&other=1&tags[a]=b";
        let read = filter(query, ProxyRow::TABLE).unwrap();
        assert_eq!((read.limit, read.offset), (7, 3));
        assert_eq!((read.name.as_deref(), read.query), (Some("A b"), None));
        assert!(read.tags.is_empty(), "proxies have none");
        assert_eq!(filter(query, SessionRow::TABLE).unwrap().tags["a"], "b");
        let error = filter("limit=0&offset=x", ProxyRow::TABLE).unwrap_err();
        let fields: Vec<&str> = error.0.body().details.iter().map(|d| d.code.as_str()).collect();
        assert_eq!(fields, ["limit", "offset"]);
    }
}
