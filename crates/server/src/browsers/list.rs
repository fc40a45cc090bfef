//! `GET /browsers`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use browserd_api::browser::{Browser, Region, StatusFilter};
use browserd_fleet::{ListSessions, SessionView};
use browserd_rest::{Refused, Result};
use browserd_store::Row as _;
use serde::Deserialize;
use url::form_urlencoded;
use utoipa::IntoParams;

use super::{Browsers, validate, view};
use crate::caller::Sessions;
use crate::fields::query_flag;
use crate::refusal;
use crate::resource::paging::{self, Asked};
use crate::resource::refusals::ListRows;

/// Which sessions to list; read by hand so that every wrong one is named.
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
    /// Running sessions, ended ones, or both.
    status: Option<StatusFilter>,
    /// Deprecated: the same as `status=all` when true.
    include_deleted: Option<bool>,
    /// Part of the name, in any case, or exactly the session's id, its proxy's, or its profile's id
    /// or name.
    query: Option<String>,
    /// Region label.
    region: Option<Region>,
}

/// List browser sessions
///
/// Newest first, without their `chrome_policy`, which may be large: get a session by itself to see
/// it. `tags[key]=value`, any number of times, keeps those that have all these tags.
#[utoipa::path(get, path = "/browsers", operation_id = "browsers.list", tag = "browsers",
    params(ListParams, ("tags" = Option<std::collections::BTreeMap<String, String>>, Query, style = DeepObject, explode,
        description = "Tags a session must have, all of them, exactly: `tags[team]=a`.")),
    responses((status = 200, description = "One page of sessions.", body = Vec<Browser>,
        headers(("x-limit" = u32, description = "The limit in force."),
            ("x-offset" = u32, description = "The offset in force."),
            ("x-has-more" = bool, description = "Whether more follow."),
            ("x-next-offset" = u32, description = "Offset of the next page, 0 when there is none."))),
        Refused<ListRows>))]
pub(crate) async fn list(
    State(browsers): State<Arc<Browsers>>,
    sessions: Sessions,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let filter = parse(&query.unwrap_or_default())?;
    let (limit, offset) = (filter.limit, filter.offset);
    let page = sessions.list(filter).await.map_err(refusal::from_fleet)?;
    let shown = page.items.iter().map(|session| view::show(&browsers, &sessions, session));
    let browsers = shown.collect::<Result<Vec<Browser>>>()?;
    Ok(paging::answer(&browsers, limit, offset, page.has_more))
}

/// Reads the query; every parameter that does not fit is named. Unknown ones are ignored, and of
/// one given twice the last counts.
pub(super) fn parse(query: &str) -> Result<ListSessions> {
    let mut asked = Asked::of(SessionView::TABLE);
    let (mut status, mut include_deleted) = (None, false);
    for (parameter, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*parameter {
            "status" => match &*value {
                "active" => status = Some(StatusFilter::Active),
                "deleted" => status = Some(StatusFilter::Deleted),
                "all" => status = Some(StatusFilter::All),
                _ => asked.errors.add("status", "must be active, deleted or all"),
            },
            "include_deleted" => {
                let flag = asked.errors.check(parameter, query_flag(&value));
                include_deleted = flag.unwrap_or(false);
            }
            "region" => {
                let region = asked.errors.check(parameter, validate::region(&value));
                let region = region.map(|region| ("region", region.as_str().to_owned()));
                asked.filter.exactly = region.into_iter().collect();
            }
            // Sessions are searched by `query` only.
            "name" => {}
            common => asked.read(common, &value),
        }
    }
    asked.filter.status =
        status.unwrap_or(if include_deleted { StatusFilter::All } else { StatusFilter::Active });
    asked.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_asked_is_the_default() {
        let filter = parse("").unwrap();
        assert_eq!((filter.limit, filter.offset, filter.status), (20, 0, StatusFilter::Active));
        assert!(filter.tags.is_empty() && filter.query.is_none() && filter.exactly.is_empty());
    }

    #[test]
    fn everything_can_be_asked() {
        let filter = parse(
            "limit=100&offset=40&status=deleted&include_deleted=true&query=Bot&region=eu-west\
             &tags%5Bteam%5D=a%20b&tags[env]=x=y&unknown=1",
        )
        .unwrap();
        assert_eq!((filter.limit, filter.offset, filter.status), (100, 40, StatusFilter::Deleted));
        assert_eq!(filter.query.as_deref(), Some("Bot"));
        assert_eq!(filter.exactly, [("region", "eu-west".to_owned())]);
        assert_eq!(filter.tags["team"], "a b");
        assert_eq!(filter.tags["env"], "x=y");
        assert_eq!(parse("include_deleted=true").unwrap().status, StatusFilter::All);
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        let error =
            parse("limit=0&offset=-1&status=gone&include_deleted=maybe&region=mars").unwrap_err();
        let fields: Vec<&str> = error.0.body().details.iter().map(|d| d.code.as_str()).collect();
        assert_eq!(fields, ["limit", "offset", "status", "include_deleted", "region"]);
        for limit in ["101", "-1", "1.5", "", "x", "99999999999999999999"] {
            assert!(parse(&format!("limit={limit}")).is_err(), "{limit}");
        }
    }

    proptest! {
        #[test]
        fn no_query_panics_and_limits_hold(query in ".{0,200}") {
            if let Ok(filter) = parse(&query) {
                prop_assert!((1..=paging::LIMIT_MAX).contains(&filter.limit));
                prop_assert!(filter.tags.len() <= validate::TAGS_MAX);
            }
        }
    }
}
