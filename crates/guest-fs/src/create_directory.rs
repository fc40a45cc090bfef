//! `PUT /fs/create_directory`.

use std::ffi::OsStr;

use axum::extract::State;
use browserd_api::fs::CreateDirectoryRequest;
use browserd_guest_http::refusals::{BodyRefusals, FileRefusals, Refusals, StorageRefusals};
use browserd_guest_session::disk::ENTRY;
use browserd_rest::{Json, Result};
use http::StatusCode;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::folders::{self, FOLDER_MODE, Made};
use super::path::{self, Given};
use super::{Files, Place, blocking, place};

/// Make a folder.
///
/// Folders above it that are missing are made too (755). New folders belong to the browser's user.
/// 201 also when it is there already; then nothing is changed, its permissions neither. 400 when
/// something else has the name.
#[utoipa::path(
    put,
    path = "/fs/create_directory",
    operation_id = "browsers_fs_create_directory",
    tag = "browsers/fs",
    request_body = CreateDirectoryRequest,
    responses((status = 201, description = "It is there."), Refusals, FileRefusals, BodyRefusals, StorageRefusals),
)]
pub(super) async fn create_directory(
    State(files): State<Files>,
    Json(request): Json<CreateDirectoryRequest>,
) -> Result<StatusCode> {
    let given = Given::new("path", request.path)?;
    let mode = request.mode.map(|mode| path::mode("mode", &mode)).transpose()?;
    let owner = files.owner();
    files.disk().admit(ENTRY, 1).await.map_err(|full| full.refuse(&given))?;
    blocking(move || {
        let refused = |errno| given.refuse(errno);
        let start = place::open(rustix::fs::CWD, OsStr::new("/"), OFlags::PATH).map_err(refused)?;
        let text = given.as_str().trim_end_matches('/');
        let (parent, _) = text.rsplit_once('/').unwrap_or_default();
        let mut made = Made::default();
        let is_there = |stat| match place::kind(&stat) {
            FileType::Directory => Ok(StatusCode::CREATED),
            _ => Err(given.wrong("exists and is not a folder")),
        };
        match place::open(&start, OsStr::new(given.as_str()), OFlags::PATH) {
            Ok(_) => return place::look(&given).and_then(|(_, stat)| is_there(stat)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(refused(errno)),
        }
        made.enter(&start, OsStr::new(&format!("{parent}/")), owner).map_err(refused)?;
        let place = Place::of(&given)?;
        match folders::make(&place.dir, &place.name, mode.unwrap_or(FOLDER_MODE), owner) {
            Ok(()) => {}
            // Made by someone else meanwhile, or a link to nothing.
            Err(Errno::EXIST) => {
                place::look(&given).and_then(|(_, stat)| is_there(stat))?;
            }
            Err(errno) => return Err(refused(errno)),
        }
        made.keep();
        Ok(StatusCode::CREATED)
    })
    .await
}
