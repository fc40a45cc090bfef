//! `GET /browser/replays`: a recording in a browser, by its own token.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use browserd_api::ErrorCode;
use browserd_rest::{Error, Refused, Result};
use browserd_store::Store;
use http::{HeaderMap, HeaderValue, header};
use url::form_urlencoded;

use super::download::ServeFile;
use super::{Replays, download};
use crate::query;
use crate::resource::refusals::from_store;
use crate::resource::{Mine, Resource as _};
use crate::token::Tokens;
use crate::wire::log::AboutSession;

/// Where it is.
pub(super) const PATH: &str = "/browser/replays";

/// What a browser shows while there is nothing to play; it looks again by itself.
const NOT_YET: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <meta http-equiv=\"refresh\" content=\"2\"><title>Recording</title>\
    <body style=\"margin:0;height:100vh;display:grid;place-items:center;background:#000;color:#bbb;\
    font:16px sans-serif\"><p>This recording is not finished yet.</p>";

/// View a recording
///
/// What `replay_view_url` is: the MP4 itself, for a browser, a frame or a `<video>`. Takes `Range`.
/// While the recording is not finished the answer is 202, `Retry-After` and a page that looks again
/// by itself. The token is the recording's own, and works after the session has ended.
#[utoipa::path(get, path = "/browser/replays", operation_id = "replays.view", tag = "replays",
    params(("replay_id" = Option<String>, Query, description = "Id of the recording; the token says it, too.")),
    responses((status = 200, description = "The file.", content_type = "video/mp4", body = Vec<u8>),
        (status = 202, description = "Not finished yet; see `Retry-After`.", content_type = "text/html", body = String),
        (status = 206, description = "The part asked for.", content_type = "video/mp4", body = Vec<u8>),
        Refused<ServeFile>))]
pub(super) async fn view(
    State(store): State<Arc<dyn Store>>,
    State(tokens): State<Tokens>,
    State(replays): State<Replays>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response> {
    let (jwt, rest) = query::take_jwt(&query.unwrap_or_default());
    let (project, session, replay) =
        jwt.and_then(|jwt| tokens.check_replay(&jwt)).ok_or_else(refused)?;
    let other = form_urlencoded::parse(rest.as_bytes())
        .find(|(name, value)| name == "replay_id" && value.as_ref() != replay.as_str());
    if let Some((_, other)) = other {
        return Err(Replays::not_found(&other));
    }
    let mine = Mine::<Replays>::of(store, &project);
    let row = mine.rows().of_session_by_id(&session, &replay).await.map_err(from_store)?;
    let row = row.ok_or_else(|| Replays::not_found(replay.as_str()))?;
    let mut response = match row.end {
        Some(_) => download::file(&replays, &project, &row, &headers).await?,
        None => {
            let mut response = download::later();
            *response.body_mut() = NOT_YET.into();
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, html);
            response
        }
    };
    // For frames and players of any site that was given the address.
    let policy =
        "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors *";
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(
        http::HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
    response.extensions_mut().insert(AboutSession(session));
    Ok(response)
}

fn refused() -> Error {
    Error::new(
        ErrorCode::Unauthorized,
        "the recording's token (query parameter jwt) is missing or not valid; take the URL from \
         GET /browsers/{id_or_name}/replays",
    )
}
