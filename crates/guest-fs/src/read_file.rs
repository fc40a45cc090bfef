//! `GET /fs/read_file`.

use std::fs::File;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use browserd_api::{ErrorBody, ErrorCode};
use browserd_guest_http::Query;
use browserd_guest_http::refusals::{Binary, FileRefusals, Refusals};
use browserd_protocol::FileOffer;
use browserd_rest::{Error, Result, file};
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, StatusCode};

use super::path::Given;
use super::range::{Version, Wanted};
use super::{Files, blocking, place};

/// Parts of at least this many bytes are left to `serve`, if it asks for that: for less, asking for a
/// descriptor costs more than it spares.
const LEFT_TO_SERVE: u64 = 1 << 20;

/// Read a file.
///
/// The bytes of a regular file, streamed. Links are followed; folders, pipes, sockets and devices are
/// 400, and so is what is in /proc and /sys (read that with a process). Extensions: one `Range` of
/// bytes (206; 416 when the file ends before it), `ETag` and `Last-Modified`, `If-Range`,
/// `If-None-Match` and `If-Modified-Since` (304). A file that becomes shorter while it is read breaks
/// the connection off rather than end early.
#[utoipa::path(
    get,
    path = "/fs/read_file",
    operation_id = "browsers_fs_read_file",
    tag = "browsers/fs",
    params(("path" = String, Query, description = "Absolute path of the file.")),
    responses(
        (status = 200, description = "The file.", body = Binary, content_type = "application/octet-stream"),
        (status = 206, description = "The part asked for.", body = Binary, content_type = "application/octet-stream"),
        (status = 304, description = "The client has it already."),
        (status = 416, description = "The file ends before the part asked for; `Content-Range` has its size.", body = ErrorBody),
        Refusals, FileRefusals,
    ),
)]
pub(super) async fn read_file(
    State(files): State<Files>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let given = Given::new("path", query.need("path")?)?;
    blocking(move || {
        let (fd, stat) = place::file(&given)?;
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        let version = Version::of(&stat);
        let (status, from, to) = match version.wanted(&headers, length) {
            Wanted::Whole => (StatusCode::OK, 0, length),
            Wanted::Part(from, to) => (StatusCode::PARTIAL_CONTENT, from, to),
            Wanted::Beyond => return Ok(beyond(length)),
            Wanted::NotModified => (StatusCode::NOT_MODIFIED, 0, 0),
        };
        let file = File::from(fd);
        let mut ticket = None;
        let body = if to - from <= file::CHUNK {
            let bytes = file::read(&file, from, to)
                .map_err(|error| super::refuse::refuse_io(&given.field, &given, &error))?;
            Body::from(bytes)
        } else {
            let file = Arc::new(file);
            if to - from >= LEFT_TO_SERVE && takes(&headers) {
                ticket = files.offers().offer(&file);
            }
            match ticket {
                Some(_) => Body::empty(),
                None => Body::from_stream(file::chunks(move || Ok(Arc::clone(&file)), from, to)),
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let mut set = |name: HeaderName, text: &str| {
            if let Ok(value) = HeaderValue::from_str(text) {
                response.headers_mut().insert(name, value);
            }
        };
        set(ACCEPT_RANGES, "bytes");
        set(ETAG, &version.etag);
        if let Some(date) = version.last_modified() {
            set(LAST_MODIFIED, &date);
        }
        if let Some(ticket) = ticket {
            let offer = FileOffer { ticket, from, to };
            set(HeaderName::from_static(FileOffer::HEADER), &offer.to_string());
        } else if status != StatusCode::NOT_MODIFIED {
            set(CONTENT_LENGTH, &(to - from).to_string());
        }
        match status {
            StatusCode::OK => set(CONTENT_TYPE, "application/octet-stream"),
            StatusCode::PARTIAL_CONTENT => {
                set(CONTENT_TYPE, "application/octet-stream");
                set(CONTENT_RANGE, &format!("bytes {from}-{}/{length}", to - 1));
            }
            _ => {}
        }
        Ok(response)
    })
    .await
}

fn beyond(length: u64) -> Response {
    let refusal = Error::new(
        ErrorCode::RangeNotSatisfiable,
        format!("the file has {length} bytes, and the part asked for begins behind them"),
    );
    let mut response = refusal.into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{length}")) {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    response
}

/// Whether whoever asks can send a file by itself.
fn takes(headers: &HeaderMap) -> bool {
    headers.get(FileOffer::HEADER).is_some_and(|value| value == FileOffer::TAKE)
}
