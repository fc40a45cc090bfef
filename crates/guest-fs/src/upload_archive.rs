//! `POST /fs/upload_zip` and `POST /fs/upload_zstd`.

use std::ffi::OsStr;

use axum::extract::{Request, State};
use browserd_guest_http::refusals::{BodyRefusals, FileRefusals, Refusals, StorageRefusals};
use browserd_rest::{Error, Result};
use http::StatusCode;
use rustix::fs::{CWD, OFlags};
use utoipa::ToSchema;

use super::archive::{self, Limits, Refused, Staging};
use super::folders::Made;
use super::form::Form;
use super::path::Given;
use super::refuse::refuse_io;
use super::spool::{Spooled, twice};
use super::{Files, blocking, place};

/// Longest text field, bytes.
const TEXT: usize = 8192;
/// Most leading parts of names that can be taken away.
const STRIP: usize = 256;

/// The form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes")]
pub(super) struct UploadZipForm {
    /// The archive.
    #[schema(value_type = String, format = Binary)]
    zip_file: Vec<u8>,
    /// Absolute path of the folder to unpack it in.
    #[schema(pattern = "^/")]
    dest_path: String,
}

/// The form.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes")]
pub(super) struct UploadZstdForm {
    /// The archive: tar compressed with zstd.
    #[schema(value_type = String, format = Binary)]
    archive: Vec<u8>,
    /// Absolute path of the folder to unpack it in.
    #[schema(pattern = "^/")]
    dest_path: String,
    /// How many leading parts are taken away from every name.
    #[schema(minimum = 0, maximum = 256)]
    strip_components: Option<u32>,
}

/// Upload a zip archive and unpack it.
///
/// The folder is made if it is missing. All of the archive appears or nothing of it does: it is
/// unpacked into a staging directory, and files that are in the folder already are replaced at the end.
/// What is unpacked belongs to the browser's user and has the archive's permissions (644 and 755 where it has none).
/// 400, with the entry's name, for names that are absolute, go up or are there twice, links that may
/// lead out of the folder, entries that go through a link, and entries that are encrypted or of an
/// unknown compression (stored and deflated ones are understood). Limits: 100 000 entries, 200 times
/// the size of the archive (256 MiB are always allowed), 64 GiB.
#[utoipa::path(
    post,
    path = "/fs/upload_zip",
    operation_id = "browsers_fs_upload_zip",
    tag = "browsers/fs",
    request_body(content = UploadZipForm, content_type = "multipart/form-data"),
    responses((status = 201, description = "It is unpacked."), Refusals, FileRefusals, BodyRefusals, StorageRefusals),
)]
pub(super) async fn upload_zip(State(files): State<Files>, request: Request) -> Result<StatusCode> {
    let received = receive(&files, request, "zip_file", false).await?;
    unpack(&files, received, |archive, _, staging| archive::unzip(&archive.file, staging)).await
}

/// Extension: upload a tar archive compressed with zstd and unpack it.
///
/// As `upload_zip`, with the same guards and limits. Hard links to earlier files of the archive are
/// made; devices and pipes are 400. Times are kept, owners are not. `strip_components` takes leading
/// parts away from every name; what has no more parts than that is left out.
#[utoipa::path(
    post,
    path = "/fs/upload_zstd",
    operation_id = "browsers_fs_upload_zstd",
    tag = "browsers/fs",
    request_body(content = UploadZstdForm, content_type = "multipart/form-data"),
    responses((status = 201, description = "It is unpacked."), Refusals, FileRefusals, BodyRefusals, StorageRefusals),
)]
pub(super) async fn upload_zstd(
    State(files): State<Files>,
    request: Request,
) -> Result<StatusCode> {
    let received = receive(&files, request, "archive", true).await?;
    unpack(&files, received, |archive, strip, staging| {
        archive::untar(&archive.file, strip, staging)
    })
    .await
}

struct Received {
    /// Name of the archive's field.
    field: &'static str,
    archive: Spooled,
    dest: Given,
    strip: usize,
}

async fn receive(
    files: &Files,
    request: Request,
    field: &'static str,
    may_strip: bool,
) -> Result<Received> {
    let mut form = Form::new(request)?;
    let (mut archive, mut dest, mut strip) = (None, None, None);
    while let Some((name, part)) = form.next().await? {
        match name.as_str() {
            name if name == field => {
                if archive.is_some() {
                    return Err(twice(name));
                }
                archive = Some(files.spool(name, part).await?);
            }
            "dest_path" => {
                let text = part.text(&name, TEXT).await?;
                if dest.replace(Given::new("dest_path", text)?).is_some() {
                    return Err(twice(&name));
                }
            }
            "strip_components" if may_strip => {
                let text = part.text(&name, TEXT).await?;
                let number = text.trim().parse().ok().filter(|number| *number <= STRIP);
                let number = number.ok_or_else(|| {
                    Error::field("strip_components", format!("is not a number from 0 to {STRIP}"))
                })?;
                if strip.replace(number).is_some() {
                    return Err(twice(&name));
                }
            }
            other => {
                let other: String = other.chars().take(100).collect();
                let what = format!("is not a field of this form; it has {field} and dest_path");
                return Err(Error::field(
                    if other.is_empty() { "body".into() } else { other },
                    what,
                ));
            }
        }
    }
    let archive = archive.ok_or_else(|| Error::field(field, "is missing"))?;
    let dest = dest.ok_or_else(|| Error::field("dest_path", "is missing"))?;
    Ok(Received { field, archive, dest, strip: strip.unwrap_or(0) })
}

async fn unpack(
    files: &Files,
    received: Received,
    unpacker: impl FnOnce(&Spooled, usize, &mut Staging) -> std::result::Result<(), Refused>
    + Send
    + 'static,
) -> Result<StatusCode> {
    let slot = files.archive_slot()?;
    let (owner, disk) = (files.owner(), files.disk().clone());
    blocking(move || {
        let Received { field, archive, dest, strip } = received;
        let refused = |why: Refused| match why {
            Refused::Archive(why) => Error::field(field, format!("cannot be unpacked: {why}")),
            Refused::Disk(error) => refuse_io(&dest.field, &dest, &error),
        };
        let mut made = Made::default();
        let start = place::open(CWD, OsStr::new("/"), OFlags::PATH | OFlags::DIRECTORY)
            .map_err(|errno| dest.refuse(errno))?;
        let text = format!("{}/", dest.as_str());
        made.enter(&start, OsStr::new(&text), owner).map_err(|errno| dest.refuse(errno))?;
        let folder = place::folder(&dest)?;
        std::io::Seek::rewind(&mut &*archive.file).map_err(|error| refused(error.into()))?;
        let mut staging =
            Staging::new(folder, owner, Limits::of(archive.bytes), disk).map_err(refused)?;
        unpacker(&archive, strip, &mut staging).map_err(refused)?;
        staging.merge().map_err(refused)?;
        made.keep();
        drop(slot);
        Ok(StatusCode::CREATED)
    })
    .await
}
