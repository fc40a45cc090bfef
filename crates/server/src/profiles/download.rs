//! `GET /profiles/{id_or_name}/download`.

use std::io::{self, Read};

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use browserd_api::ApiError;
use browserd_api::profiles::ProfileFormat;
use browserd_rest::{Error, ReadQuery, Refused, Result};
use browserd_store::BlobReader;
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderValue, StatusCode, header};
use tokio::sync::mpsc;
use tokio_util::io::{ReaderStream, SyncIoBridge};
use url::form_urlencoded;

use super::{Profiles, kept};
use crate::resource::Mine;
use crate::resource::refusals::Find;

/// An archive is sent in pieces of so many bytes.
const PIECE: usize = 128 << 10;

/// Largest window an archive may ask us to keep while it is unpacked, as a power of two: what zstd's
/// own level 19 asks for (RFC 8878 recommends 8 MiB at least).
const WINDOW_LOG_MAX: u32 = 23;

/// Download a profile
///
/// A tar archive: `cookies.json`, an array of cookies as CDP has them, and the
/// storage of web sites below `Default/`, as Chromium keeps it. 202 while nothing has been saved.
#[utoipa::path(get, path = "/profiles/{id_or_name}/download", operation_id = "profiles.download", tag = "profiles",
    params(("id_or_name" = String, Path, description = "Id or name of the profile."),
        ("format" = Option<ProfileFormat>, Query, description = "`tar.zst`, the default, or `tar`.")),
    responses((status = 200, description = "The archive.",
            content((Vec<u8> = "application/zstd"), (Vec<u8> = "application/x-tar"))),
        (status = 202, description = "Nothing has been saved yet."),
        Refused<(ReadQuery, Find<Profiles>)>))]
pub(crate) async fn download(
    State(profiles): State<Option<Profiles>>,
    mine: Mine<Profiles>,
    Path(id_or_name): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response> {
    let format = format(&query.unwrap_or_default())?;
    let id = mine.find(&id_or_name).await?.id;
    let (row, archive) = kept(profiles.as_ref())?.open(mine.project(), &id).await?;
    let (Some(reader), Some(saved)) = (archive, row.saved) else {
        return Ok(StatusCode::ACCEPTED.into_response());
    };
    let (body, kind, extension) = match format {
        ProfileFormat::TarZst => {
            let stream = ReaderStream::with_capacity(reader, PIECE);
            (Body::from_stream(stream), "application/zstd", "tar.zst")
        }
        ProfileFormat::Tar => (Body::from_stream(unpacked(reader)), "application/x-tar", "tar"),
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if format == ProfileFormat::TarZst {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(saved.bytes));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let name = format!("attachment; filename=\"{}.{extension}\"", row.id);
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

fn format(query: &str) -> Result<ProfileFormat> {
    let mut format = ProfileFormat::TarZst;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name == "format" {
            format = match &*value {
                "tar.zst" | "" => ProfileFormat::TarZst,
                "tar" => ProfileFormat::Tar,
                _ => return Err(Error(ApiError::field("format", "must be tar.zst or tar"))),
            };
        }
    }
    Ok(format)
}

/// Unpacks as fast as it is read.
fn unpacked(reader: BlobReader) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let (pieces, mut received) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let unpack = || -> io::Result<()> {
            let mut decoder = zstd::stream::read::Decoder::new(SyncIoBridge::new(reader))?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            loop {
                let mut piece = vec![0; PIECE];
                let read = decoder.read(&mut piece)?;
                piece.truncate(read);
                // Nobody listens any more.
                if read == 0 || pieces.blocking_send(Ok(Bytes::from(piece))).is_err() {
                    return Ok(());
                }
            }
        };
        if let Err(error) = unpack() {
            let _ = pieces.blocking_send(Err(error));
        }
    });
    futures_util::stream::poll_fn(move |cx| received.poll_recv(cx))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_one_of_two() {
        assert_eq!(format("").unwrap(), ProfileFormat::TarZst);
        assert_eq!(format("a=b&format=tar").unwrap(), ProfileFormat::Tar);
        assert!(format("format=zip").is_err());
    }
}
