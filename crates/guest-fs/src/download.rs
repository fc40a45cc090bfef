//! `GET /fs/download_dir_zip` and `GET /fs/download_dir_zstd`.

use std::io;
use std::os::fd::OwnedFd;

use axum::extract::State;
use axum::response::Response;
use browserd_api::ErrorCode;
use browserd_guest_http::Query;
use browserd_guest_http::refusals::{Binary, FileRefusals, Refusals};
use browserd_rest::{Error, Result};
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use super::archive::{self, Level, Outlet};
use super::path::Given;
use super::refuse::refuse_io;
use super::{Files, blocking, place};

/// Download a folder as a zip archive.
///
/// Streamed while it is packed. The folder's own name is no part of the names in it. Links are packed
/// as links; pipes, sockets, devices, what is in /proc and /sys, and what vanishes meanwhile are left
/// out. Should something be unreadable it is 403, or, once bytes have been sent, the connection breaks
/// off: an archive that ends properly is whole. 400 when the path is no folder, 404 when it is not there, 429 while 8 archives are being
/// packed or unpacked.
#[utoipa::path(
    get,
    path = "/fs/download_dir_zip",
    operation_id = "browsers_fs_download_dir_zip",
    tag = "browsers/fs",
    params(("path" = String, Query, description = "Absolute path of the folder.")),
    responses(
        (status = 200, description = "The archive.", body = Binary, content_type = "application/zip"),
        Refusals, FileRefusals,
    ),
)]
pub(super) async fn download_dir_zip(State(files): State<Files>, query: Query) -> Result<Response> {
    let given = Given::new("path", query.need("path")?)?;
    pack(&files, given, "application/zip", "zip", archive::pack_zip).await
}

/// Extension: download a folder as a tar archive compressed with zstd.
///
/// As `download_dir_zip`; owners are kept, as numbers. `compression_level` is `fastest`, `default`,
/// `better` or `best`. A file that becomes shorter while it is read is filled up with zeros.
#[utoipa::path(
    get,
    path = "/fs/download_dir_zstd",
    operation_id = "browsers_fs_download_dir_zstd",
    tag = "browsers/fs",
    params(
        ("path" = String, Query, description = "Absolute path of the folder."),
        ("compression_level" = Option<String>, Query, description = "`fastest`, `default`, `better` or `best`."),
    ),
    responses(
        (status = 200, description = "The archive.", body = Binary, content_type = "application/zstd"),
        Refusals, FileRefusals,
    ),
)]
pub(super) async fn download_dir_zstd(
    State(files): State<Files>,
    query: Query,
) -> Result<Response> {
    let given = Given::new("path", query.need("path")?)?;
    let level = query.get("compression_level")?;
    let level = Level::parse(level.as_deref().unwrap_or("default")).ok_or_else(|| {
        Error::field("compression_level", "is not one of fastest, default, better and best")
    })?;
    let packer = move |dir, outlet: &mut Outlet| archive::pack_tar(dir, level, outlet);
    pack(&files, given, "application/zstd", "tar.zst", packer).await
}

async fn pack(
    files: &Files,
    given: Given,
    kind: &'static str,
    extension: &str,
    packer: impl FnOnce(OwnedFd, &mut Outlet) -> io::Result<()> + Send + 'static,
) -> Result<Response> {
    let slot = files.archive_slot()?;
    let tidy = given.tidy();
    let field = given.clone();
    let dir = blocking(move || place::folder(&given)).await?;
    let (mut outlet, mut pieces) = archive::outlet();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = packer(dir, &mut outlet) {
            tracing::debug!(%error, "an archive was broken off");
            outlet.fail(error);
        }
        drop(slot);
    });
    // What goes wrong before anything was sent can still be said.
    let first = pieces.recv().await.transpose().map_err(|error| refuse(&field, &error))?;
    let mut response = Response::new(archive::body(first, pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let name = tidy.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("root");
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_. ".contains(c) { c } else { '_' })
        .collect();
    let disposition = format!("attachment; filename=\"{plain}.{extension}\"");
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

fn refuse(given: &Given, error: &io::Error) -> Error {
    match error.kind() {
        _ if error.raw_os_error().is_some() => refuse_io(&given.field, given, error),
        io::ErrorKind::PermissionDenied => Error::new(
            ErrorCode::Forbidden,
            format!(
                "{}: {given} has something in it that the session may not read: {error}",
                given.field
            ),
        ),
        _ => Error::internal(error),
    }
}
