//! `GET /fs/read_file`.

use std::fs::File;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use browserd_api::{ErrorBody, ErrorCode};
use browserd_rest::{Error, Result};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, StatusCode};
use tokio::task::JoinHandle;

use super::path::Given;
use super::range::{Version, Wanted};
use super::{blocking, place};
use crate::query::Query;
use crate::refusals::{Binary, FileRefusals, Refusals};

/// Bytes read at once.
const CHUNK: u64 = 256 << 10;

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
pub(super) async fn read_file(query: Query, headers: HeaderMap) -> Result<Response> {
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
        let body = if to - from <= CHUNK {
            let bytes = read(&file, from, to)
                .map_err(|error| super::refuse::refuse_io(&given.field, &given, &error))?;
            Body::from(bytes)
        } else {
            Body::from_stream(chunks(Arc::new(file), from, to))
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
        if status != StatusCode::NOT_MODIFIED {
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

/// The bytes `from..to` of a file, as they are asked for.
pub(crate) fn chunks(
    file: Arc<File>,
    from: u64,
    to: u64,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold(Reader { file, at: from, end: to, ahead: None }, next)
}

/// A file on its way out; the next chunk is read while the last one is sent.
struct Reader {
    file: Arc<File>,
    at: u64,
    end: u64,
    ahead: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Reader {
    fn start(&mut self) -> Option<JoinHandle<io::Result<Bytes>>> {
        if self.at >= self.end {
            return None;
        }
        let (file, from) = (Arc::clone(&self.file), self.at);
        let to = self.end.min(from + CHUNK);
        self.at = to;
        Some(tokio::task::spawn_blocking(move || read(&file, from, to)))
    }
}

async fn next(mut reader: Reader) -> Option<(io::Result<Bytes>, Reader)> {
    let current = match reader.ahead.take() {
        Some(ahead) => ahead,
        None => reader.start()?,
    };
    let bytes = current.await.unwrap_or_else(|gone| Err(io::Error::other(gone)));
    if bytes.is_ok() {
        reader.ahead = reader.start();
    } else {
        reader.at = reader.end;
    }
    Some((bytes, reader))
}

/// The bytes `from..to`, all of them.
fn read(file: &File, from: u64, to: u64) -> io::Result<Bytes> {
    let wanted = usize::try_from(to - from).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(wanted);
    while bytes.len() < wanted {
        let at = from + bytes.len() as u64;
        let room = rustix::buffer::spare_capacity(&mut bytes);
        match rustix::io::pread(file, room, at) {
            Ok(0) => return Err(io::Error::other("the file became shorter while it was read")),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    bytes.truncate(wanted);
    Ok(bytes.into())
}
