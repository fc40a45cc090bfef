//! `GET /profiles`.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use browserd_api::profiles::Profile;
use browserd_rest::{Error, Result};

use super::show;
use crate::app::App;
use crate::paging::{self, ListParams};

/// List profiles
///
/// Newest first.
#[utoipa::path(get, path = "/profiles", operation_id = "profiles.list", tag = "profiles",
    params(ListParams),
    responses((status = 200, description = "One page of profiles.", body = Vec<Profile>,
        headers(("x-limit" = u32, description = "The limit in force."),
            ("x-offset" = u32, description = "The offset in force."),
            ("x-has-more" = bool, description = "Whether more follow."),
            ("x-next-offset" = u32, description = "Offset of the next page, 0 when there is none.")))))]
pub(crate) async fn list(State(app): State<App>, RawQuery(query): RawQuery) -> Result<Response> {
    let filter = paging::filter(&query.unwrap_or_default())?;
    let listed = app.fleet.store().profiles().list(&filter).await;
    let (rows, more) = listed.map_err(Error::internal)?;
    let profiles: Vec<Profile> = rows.into_iter().map(show).collect();
    Ok(paging::answer(&profiles, filter.limit, filter.offset, more))
}
