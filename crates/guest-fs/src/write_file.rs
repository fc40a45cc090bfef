//! `PUT /fs/write_file`.

use std::fs::File;
use std::sync::Arc;

use axum::extract::{Request, State};
use browserd_guest_http::Query;
use browserd_guest_http::refusals::{Binary, FileRefusals, Refusals, StorageRefusals};
use browserd_rest::Result;
use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use rustix::fs::Mode;

use super::atomic_write::AtomicWrite;
use super::folders::Made;
use super::owner::Owner;
use super::path::{self, Given};
use super::refuse::refuse_io;
use super::sink::{self, Sink};
use super::{Files, Place, blocking};

/// Write a file.
///
/// The body, of any size, becomes the file's content in one step: until all of it has come the old
/// file is there, and when it does not come, or does not fit (507 `insufficient_storage`), nothing
/// changes. Folders that are missing are made (755). New files and folders belong to the browser's
/// user. `mode` is set on new files (default 644) and, when given, on a file that is replaced, which
/// otherwise keeps its permissions and its owner. Where the path ends in a link, what it points to is
/// replaced. Folders, pipes, sockets and devices are 400.
#[utoipa::path(
    put,
    path = "/fs/write_file",
    operation_id = "browsers_fs_write_file",
    tag = "browsers/fs",
    params(
        ("path" = String, Query, description = "Absolute path of the file."),
        ("mode" = Option<String>, Query, description = "Permissions in octal digits.", pattern = "^[0-7]{3,4}$"),
    ),
    request_body(content = Binary, content_type = "application/octet-stream"),
    responses((status = 201, description = "It is written."), Refusals, FileRefusals, StorageRefusals),
)]
pub(super) async fn write_file(
    State(files): State<Files>,
    query: Query,
    request: Request,
) -> Result<StatusCode> {
    let given = Given::new("path", query.need("path")?)?;
    let mode = query.get("mode")?.map(|mode| path::mode("mode", &mode)).transpose()?;
    let owner = files.owner();
    let length = request.body().size_hint().exact();
    let mut body = request.into_body().into_data_stream();
    let disk = files.disk();
    if let Some(length) = length {
        disk.fits(length).await.map_err(|full| full.refuse(&given))?;
    }
    let (first, whole) = sink::gather(&mut body).await?;
    let bytes = first.iter().map(|bytes| bytes.len() as u64).sum();
    disk.admit(bytes, 1).await.map_err(|full| full.refuse(&given))?;
    let begun = blocking(move || {
        let writing = Writing::begin(given, owner)?;
        writing.write(&first)?;
        Ok(if whole {
            writing.finish(mode)?;
            None
        } else {
            Some(writing)
        })
    })
    .await?;
    if let Some(writing) = begun {
        let mut sink = Sink::new(Arc::clone(&writing.file), disk.clone());
        while let Some(bytes) = sink::next(&mut body).await? {
            sink.push(bytes).await.map_err(|error| writing.refuse(&error))?;
        }
        sink.finish().await.map_err(|error| writing.refuse(&error))?;
        blocking(move || writing.finish(mode)).await?;
    }
    Ok(StatusCode::CREATED)
}

/// A file on its way in. Dropped, it leaves nothing.
struct Writing {
    given: Given,
    file: Arc<File>,
    write: AtomicWrite,
    place: Place,
    made: Made,
}

impl Writing {
    fn begin(given: Given, owner: Owner) -> Result<Self> {
        let mut made = Made::default();
        let place = Place::to_write(&given, |from, path| made.enter(from, path, owner))?;
        if let Ok(stat) = place.stat() {
            super::place::regular(&given, &stat)?;
        }
        let (write, file) =
            AtomicWrite::new(&place.dir, owner).map_err(|errno| given.refuse(errno))?;
        Ok(Self { given, file: Arc::new(file), write, place, made })
    }

    fn write(&self, bytes: &[Bytes]) -> Result<()> {
        sink::write(&self.file, bytes).map_err(|error| self.refuse(&error))
    }

    fn finish(self, mode: Option<Mode>) -> Result<()> {
        let Self { given, file, write, place, made } = self;
        write.put(&file, &place, mode, false).map_err(|errno| given.refuse(errno))?;
        made.keep();
        Ok(())
    }

    fn refuse(&self, error: &std::io::Error) -> browserd_rest::Error {
        refuse_io(&self.given.field, &self.given, error)
    }
}
