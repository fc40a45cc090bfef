//! `GET /browsers/{id_or_name}/replays/{replay_id}`, and what serves a finished file.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use browserd_api::{ErrorCode, ProjectId};
use browserd_rest::{Error, Refused, Result, refusals};
use browserd_store::{BlobKey, ReplayRow};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_util::io::ReaderStream;

use super::range::{Part, asked};
use super::{RETRY_AFTER, Replays, find, session};
use crate::caller::Sessions;
use crate::refusal::FindSession;
use crate::resource::Mine;
use crate::resource::refusals::Find;
use crate::wire::log::AboutSession;

/// A file is sent in pieces of so many bytes.
const PIECE: usize = 128 << 10;

refusals! {
    /// Answering with the file of a recording.
    pub(super) ServeFile:
        ReplayNotFound, RangeNotSatisfiable, NotImplemented, DatabaseUnavailable, Internal;
}

/// Download a recording
///
/// The MP4, or 202 with `Retry-After` while it is being recorded or finished. Takes `Range`. Works
/// after the session has ended, too.
#[utoipa::path(get, path = "/browsers/{id_or_name}/replays/{replay_id}", operation_id = "browsers.replays.download", tag = "replays",
    params(("id_or_name" = String, Path, description = "Id or name of the session."),
        ("replay_id" = String, Path, description = "Id of the recording.")),
    responses((status = 200, description = "The file.", content_type = "video/mp4", body = Vec<u8>),
        (status = 202, description = "Not finished yet; see `Retry-After`."),
        (status = 206, description = "The part asked for.", content_type = "video/mp4", body = Vec<u8>),
        Refused<(FindSession, Find<Replays>, ServeFile)>))]
pub(super) async fn download(
    State(replays): State<Replays>,
    sessions: Sessions,
    mine: Mine<Replays>,
    Path((id_or_name, replay_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response> {
    let session = session(&sessions, &id_or_name).await?;
    let row = find(&mine, &session, &replay_id).await?;
    let mut response = match row.end {
        None => later(),
        Some(_) => file(&replays, mine.project(), &row, &headers).await?,
    };
    response.extensions_mut().insert(AboutSession(session.id));
    Ok(response)
}

/// 202 for a recording that is not finished.
pub(super) fn later() -> Response {
    let mut response = StatusCode::ACCEPTED.into_response();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A finished recording of a project, or the part of it that `asks` for.
pub(super) async fn file(
    replays: &Replays,
    project: &ProjectId,
    row: &ReplayRow,
    asks: &HeaderMap,
) -> Result<Response> {
    let (blobs, key) = (&replays.recordings()?.blobs, BlobKey::replay(project, &row.id));
    let size = blobs.size(&key).await.map_err(Error::internal)?;
    let Some(size) = size.filter(|size| *size > 0) else {
        return Err(Error::new(
            ErrorCode::ReplayNotFound,
            "nothing of this recording could be kept; its end_reason says how it ended",
        ));
    };
    let etag = format!("\"{}-{size}\"", row.id);
    let (status, start, length) = match asked(asks, size, &etag) {
        Part::Whole => (StatusCode::OK, 0, size),
        Part::Range { start, length } => (StatusCode::PARTIAL_CONTENT, start, length),
        Part::Beyond => return Ok(beyond(size)),
    };
    let body = match blobs.read(&key, start, length).await.map_err(Error::internal)? {
        Some(reader) => Body::from_stream(ReaderStream::with_capacity(reader, PIECE)),
        None => return Err(Error::internal("a recording's blob has gone")),
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_LENGTH, &length.to_string());
    set(header::CONTENT_TYPE, "video/mp4");
    set(header::ACCEPT_RANGES, "bytes");
    set(header::ETAG, &etag);
    set(header::CACHE_CONTROL, "private");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    let name = format!("inline; filename=\"{}.mp4\"", row.id);
    set(header::CONTENT_DISPOSITION, &name);
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{size}", start + length - 1);
        set(header::CONTENT_RANGE, &range);
    }
    Ok(response)
}

fn beyond(size: u64) -> Response {
    let message =
        format!("the recording has {size} bytes, and the Range header asks for later ones");
    let mut response = Error::new(ErrorCode::RangeNotSatisfiable, message).into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}
