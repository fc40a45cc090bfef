//! `GET /browsers/{id_or_name}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use browserd_api::browser::Browser;
use browserd_rest::{ReadQuery, Refused, Result};
use url::form_urlencoded;

use super::{Browsers, view};
use crate::caller::Sessions;
use crate::fields::{ValidationErrors, query_flag};
use crate::refusal::{self, FindSession};
use crate::wire::log::AboutSession;

/// Get a browser session
///
/// By id or name. Ended sessions stay readable, with `deleted_at` and `deletion_reason`, when
/// `include_deleted` asks for them.
#[utoipa::path(get, path = "/browsers/{id_or_name}", operation_id = "browsers.retrieve", tag = "browsers",
    params(("id_or_name" = String, Path, description = "Id or name of the session."),
        ("include_deleted" = Option<bool>, Query, description = "Also look among ended sessions.")),
    responses((status = 200, description = "The session.", body = Browser),
        Refused<(ReadQuery, FindSession)>))]
pub(crate) async fn get(
    State(browsers): State<Arc<Browsers>>,
    sessions: Sessions,
    Path(id_or_name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let include_deleted = include_deleted(&query.unwrap_or_default())?;
    let session = sessions.find(&id_or_name, include_deleted).await.map_err(refusal::from_fleet)?;
    let mut response = Json(view::show(&browsers, &sessions, &session)?).into_response();
    response.extensions_mut().insert(AboutSession(session.id));
    Ok(response)
}

fn include_deleted(query: &str) -> Result<bool> {
    let mut include = false;
    let mut errors = ValidationErrors::default();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if key == "include_deleted" {
            include = errors.check(key, query_flag(&value)).unwrap_or(false);
        }
    }
    errors.into_result()?;
    Ok(include)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_one_parameter() {
        assert!(include_deleted("include_deleted=true").unwrap());
        assert!(
            !include_deleted("").unwrap() && !include_deleted("include_deleted=false&x=y").unwrap()
        );
        let error = include_deleted("include_deleted=maybe").unwrap_err();
        assert_eq!(error.0.body().details[0].code, "include_deleted");
    }
}
