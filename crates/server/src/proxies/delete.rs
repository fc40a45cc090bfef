//! `DELETE /proxies/{id_or_name}`.

use axum::extract::{Path, State};
use browserd_api::ProxyId;
use browserd_api::browser::StatusFilter;
use browserd_fleet::{ListSessions, ProjectFleet};
use browserd_protocol::Route;
use browserd_rest::{Error, Result};
use http::StatusCode;

use super::Proxies;
use crate::app::App;
use crate::refusal;
use crate::resource::{Mine, paging};

/// Delete a proxy
///
/// Sessions that go through it stay, and reach nothing until they are given another way out: their
/// traffic does not leave by a way nobody asked for.
#[utoipa::path(delete, path = "/proxies/{id_or_name}", operation_id = "proxies.delete", tag = "proxies",
    params(("id_or_name" = String, Path, description = "Id or name of the proxy.")),
    responses((status = 204, description = "The proxy is gone, and nothing goes through it any more.")))]
pub(crate) async fn delete(
    State(app): State<App>,
    mine: Mine<Proxies>,
    Path(id_or_name): Path<String>,
) -> Result<StatusCode> {
    // Whoever takes it meanwhile is waited for, and found below.
    let _goes = app.proxies.go().await;
    let row = mine.find(&id_or_name).await?;
    // First, so that a failure can be tried again.
    close(&app.sessions(mine.project()), &row.id).await?;
    mine.delete(row.id.as_str()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Closes the way out of all sessions that go through a proxy.
async fn close(sessions: &ProjectFleet, id: &ProxyId) -> Result<()> {
    let mut filter = ListSessions {
        status: StatusFilter::Active,
        query: Some(id.to_string()),
        limit: paging::LIMIT_MAX,
        ..ListSessions::default()
    };
    loop {
        let page = sessions.list(filter.clone()).await.map_err(refusal::from_fleet)?;
        for session in page.items.iter().filter(|session| session.config.proxy.as_ref() == Some(id))
        {
            // One that has ended goes nowhere.
            let Ok(live) = sessions.live(session.id.as_str()) else { continue };
            if let Err(error) = live.route(Route::Closed).await
                && live.ended().is_none()
            {
                return Err(Error::internal(error));
            }
        }
        if !page.has_more {
            return Ok(());
        }
        filter.offset += filter.limit;
    }
}
