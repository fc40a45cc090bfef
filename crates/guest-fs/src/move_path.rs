//! `PUT /fs/move`.

use axum::extract::State;
use browserd_api::fs::MoveRequest;
use browserd_guest_http::refusals::{BodyRefusals, FileRefusals, Refusals, StorageRefusals};
use browserd_rest::{Json, Result};
use http::StatusCode;
use rustix::fs::{AtFlags, FileType, OFlags, renameat, unlinkat};
use rustix::io::Errno;

use super::path::Given;
use super::{Files, Place, atomic_write, blocking, copy, delete, place};

/// Move or rename a file or folder.
///
/// Links are moved themselves. A file that has the new path already is replaced; a folder is
/// replaced by a folder if it is empty. 404 when the source, or the folder the new path is in, is not
/// there. From one file system to another everything is copied, put in place in one step, and then
/// deleted where it was; pipes, sockets and devices cannot go that way (400).
#[utoipa::path(
    put,
    path = "/fs/move",
    operation_id = "browsers_fs_move",
    tag = "browsers/fs",
    request_body = MoveRequest,
    responses((status = 200, description = "It is moved."), Refusals, FileRefusals, BodyRefusals, StorageRefusals),
)]
pub(super) async fn move_path(
    State(files): State<Files>,
    Json(request): Json<MoveRequest>,
) -> Result<StatusCode> {
    let source = Given::new("src_path", request.src_path)?;
    let dest = Given::new("dest_path", request.dest_path)?;
    let disk = files.disk().clone();
    blocking(move || {
        let from = Place::of(&source)?;
        let stat = from.stat().map_err(|errno| source.refuse(errno))?;
        let to = Place::of(&dest)?;
        match renameat(&from.dir, from.name.as_os_str(), &to.dir, to.name.as_os_str()) {
            Ok(()) => return Ok(StatusCode::OK),
            Err(Errno::XDEV) => {}
            Err(Errno::INVAL) => return Err(dest.wrong("is inside the folder that is to be moved")),
            Err(Errno::BUSY) => return Err(source.refuse(Errno::BUSY)),
            Err(Errno::NOTDIR) => return Err(dest.wrong("is a file, and a folder cannot replace it")),
            Err(errno) => return Err(dest.refuse(errno)),
        }
        let is_dir = place::kind(&stat) == FileType::Directory;
        if is_dir {
            let real = |place: &Place, given: &Given| place.real().map_err(|errno| given.refuse(errno));
            if real(&to, &dest)?.starts_with(real(&from, &source)?) {
                return Err(dest.wrong("is inside the folder that is to be moved"));
            }
        }
        let name = atomic_write::name();
        let copied = copy::tree(&from.dir, &from.name, &stat, &to.dir, &name, &disk).and_then(|()| {
            renameat(&to.dir, name.as_os_str(), &to.dir, to.name.as_os_str())
        });
        if let Err(errno) = copied {
            let _ = remove(&Place { dir: to.dir, name }, is_dir);
            return Err(match errno {
                Errno::DQUOT if let Some(full) = disk.last_refusal() => full.refuse(&dest),
                Errno::OPNOTSUPP => source.wrong("is, or has in it, a pipe, socket or device, which cannot go to another file system"),
                errno => dest.refuse(errno),
            });
        }
        remove(&from, is_dir).map_err(|errno| source.refuse(errno))?;
        Ok(StatusCode::OK)
    })
    .await
}

fn remove(place: &Place, is_dir: bool) -> rustix::io::Result<()> {
    if !is_dir {
        return unlinkat(&place.dir, place.name.as_os_str(), AtFlags::empty());
    }
    let dir = place::open_plain(&place.dir, &place.name, OFlags::RDONLY | OFlags::DIRECTORY)?;
    delete::empty(dir)?;
    unlinkat(&place.dir, place.name.as_os_str(), AtFlags::REMOVEDIR)
}
