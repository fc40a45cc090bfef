//! `POST /proxies/{id_or_name}/check`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use browserd_api::proxies::Proxy;
use browserd_api::{ApiError, Timestamp};
use browserd_egress::{ProbeError, probe};
use browserd_protocol::EgressPolicy;
use browserd_rest::{Error, Optional, ReadBody, Refused, Result};
use url::Url;
use utoipa::ToSchema;

use super::{Proxies, status};
use crate::fields::{Body, Checked, Fields};
use crate::resource::refusals::Find;
use crate::resource::{Mine, Shown as _, ignored, refused};

/// What to check a proxy with.
#[derive(Debug, ToSchema)]
pub(crate) struct CheckProxy {
    /// An http or https URL of a public host; the server's own choice when left out.
    #[schema(value_type = Option<String>, max_length = 2048)]
    url: Option<Url>,
}

impl Body for CheckProxy {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { url: fields.parse("url", url).flatten() })
    }
}

/// How proxies are checked.
pub(crate) struct Checks {
    /// What may be reached, as sessions' gateways decide it.
    pub(crate) egress: EgressPolicy,
    /// What a proxy is checked with when a check names no URL.
    pub(crate) url: Url,
}

/// Longest URL, bytes.
const URL_LIMIT: usize = 2048;

/// Check a proxy
///
/// Opens one connection through it, as a session would: to the host of an https URL, or for http with
/// a HEAD request that may be answered with any status. Without a URL the outcome is kept as the
/// proxy's `status`; with one it says as much about the site, and is only answered.
/// `unavailable_because` says why it failed (extension). The address a proxy goes out with is not
/// found out.
#[utoipa::path(post, path = "/proxies/{id_or_name}/check", operation_id = "proxies.check", tag = "proxies",
    params(("id_or_name" = String, Path, description = "Id or name of the proxy.")),
    request_body(content = Option<CheckProxy>, description = "What to check it with."),
    responses((status = 200, description = "The proxy, with the outcome as its status.", body = Proxy,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know."))),
        Refused<(ReadBody, Find<Proxies>)>))]
pub(crate) async fn check(
    State(checks): State<Arc<Checks>>,
    mine: Mine<Proxies>,
    Path(id_or_name): Path<String>,
    Optional(body): Optional<Checked<CheckProxy>>,
) -> Result<Response> {
    let (CheckProxy { url: asked }, ignored) = body.finish()?;
    let row = mine.find(&id_or_name).await?;
    let url = asked.as_ref().unwrap_or(&checks.url);
    let why = match probe(&checks.egress, &row.upstream, url).await {
        Ok(()) => None,
        Err(ProbeError::Refused(refusal)) => Some(refusal.message()),
        Err(ProbeError::Url(what)) if asked.is_some() => {
            return Err(Error(ApiError::field("url", what)));
        }
        // The operator's own URL may be a host this proxy is not for.
        Err(error @ ProbeError::Url(_)) => Some(error.to_string()),
        Err(error) => return Err(Error::internal(error)),
    };
    let (at, available) = (Timestamp::now(), why.is_none());
    let mut proxy = if asked.is_some() {
        Proxies::show(row)
    } else {
        let checked = mine.rows().checked(&row.id, at, available).await;
        Proxies::show(checked.map_err(|error| refused::<Proxies>(error, &id_or_name, None))?)
    };
    proxy.status = Some(status(available));
    proxy.last_checked = Some(at);
    proxy.unavailable_because = why;
    let mut response = Json(proxy).into_response();
    ignored::name_in_header(response.headers_mut(), &ignored);
    Ok(response)
}

fn url(text: &str) -> std::result::Result<Option<Url>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > URL_LIMIT {
        return Err("must have at most 2048 bytes");
    }
    Url::parse(text).map(Some).map_err(|_| "must be an http or https URL")
}
