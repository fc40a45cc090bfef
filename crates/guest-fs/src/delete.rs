//! `PUT /fs/delete_file` and `PUT /fs/delete_directory`.

use std::os::fd::OwnedFd;
use std::path::Path;

use axum::extract::State;
use browserd_api::fs::PathRequest;
use browserd_guest_http::refusals::{BodyRefusals, FileRefusals, Refusals};
use browserd_rest::{Json, Result};
use http::StatusCode;
use rustix::fs::{AtFlags, FileType, OFlags, unlinkat};
use rustix::io::Errno;

use super::path::Given;
use super::walk::{DEPTH, Step, Walk};
use super::{Files, Place, blocking, place};

/// Delete a file.
///
/// A link is deleted itself, not what it points to; pipes and sockets are deleted too. A folder is
/// 400 (`delete_directory` deletes folders), nothing there 404.
#[utoipa::path(
    put,
    path = "/fs/delete_file",
    operation_id = "browsers_fs_delete_file",
    tag = "browsers/fs",
    request_body = PathRequest,
    responses((status = 200, description = "It is gone."), Refusals, FileRefusals, BodyRefusals),
)]
pub(super) async fn delete_file(Json(request): Json<PathRequest>) -> Result<StatusCode> {
    let given = Given::new("path", request.path)?;
    blocking(move || {
        let place = Place::of(&given)?;
        let stat = place.stat().map_err(|errno| given.refuse(errno))?;
        if place::kind(&stat) == FileType::Directory {
            return Err(given.wrong("is a folder; delete_directory deletes folders"));
        }
        unlinkat(&place.dir, place.name.as_os_str(), AtFlags::empty())
            .map_err(|errno| given.refuse(errno))?;
        Ok(StatusCode::OK)
    })
    .await
}

/// Delete a folder and everything in it.
///
/// Links in it are deleted, not what they point to. 404 when it is not there, 400 when it is not a
/// folder (a link to one included), and 400 for folders the session cannot do without: `/`, those
/// directly in it, and the browser user's home.
#[utoipa::path(
    put,
    path = "/fs/delete_directory",
    operation_id = "browsers_fs_delete_directory",
    tag = "browsers/fs",
    request_body = PathRequest,
    responses((status = 200, description = "It is gone."), Refusals, FileRefusals, BodyRefusals),
)]
pub(super) async fn delete_directory(
    State(files): State<Files>,
    Json(request): Json<PathRequest>,
) -> Result<StatusCode> {
    let given = Given::new("path", request.path)?;
    if given.tidy() == "/" {
        return Err(given.wrong(NEEDED));
    }
    blocking(move || {
        let refused = |errno| given.refuse(errno);
        let place = Place::of(&given)?;
        let stat = place.stat().map_err(refused)?;
        if place::kind(&stat) != FileType::Directory {
            return Err(given.wrong("is not a folder; delete_file deletes files and links"));
        }
        let real = place.real().map_err(refused)?;
        if is_needed(&real, &files.0.session.places.home) {
            return Err(given.wrong(NEEDED));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let dir = place::open_plain(&place.dir, &place.name, flags).map_err(refused)?;
        if place::is_kernels(&dir).map_err(refused)? {
            return Err(given.wrong(NEEDED));
        }
        empty(dir).map_err(|errno| match errno {
            Errno::NAMETOOLONG => given
                .wrong(format!("has folders nested more than {DEPTH} deep; delete those first")),
            errno => given.refuse(errno),
        })?;
        unlinkat(&place.dir, place.name.as_os_str(), AtFlags::REMOVEDIR).map_err(refused)?;
        Ok(StatusCode::OK)
    })
    .await
}

const NEEDED: &str = "is a folder the session cannot do without; delete what is in it instead";

fn is_needed(real: &Path, home: &Path) -> bool {
    real.components().count() <= 2 || real == home
}

/// Deletes everything in a folder.
pub(super) fn empty(dir: OwnedFd) -> rustix::io::Result<()> {
    let mut walk = Walk::new(dir)?;
    while let Some(step) = walk.next()? {
        let flags = match step {
            Step::Enter(_) => continue,
            Step::Leaf(_) => AtFlags::empty(),
            Step::Leave => AtFlags::REMOVEDIR,
        };
        match unlinkat(walk.dir(), walk.name(), flags) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_go() {
        let home = Path::new("/home/kernel");
        for path in ["/", "/usr", "/home", "/tmp", "/home/kernel"] {
            assert!(is_needed(Path::new(path), home), "{path}");
        }
        for path in ["/tmp/x", "/home/kernel/Downloads", "/usr/share"] {
            assert!(!is_needed(Path::new(path), home), "{path}");
        }
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, gone) = (dir.path().join("kept"), dir.path().join("gone"));
        std::fs::create_dir_all(kept.join("deep")).unwrap();
        std::fs::create_dir_all(gone.join("a/b/c")).unwrap();
        std::fs::write(gone.join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink(&kept, gone.join("a/link")).unwrap();
        empty(std::fs::File::open(&gone).unwrap().into()).unwrap();
        assert_eq!(std::fs::read_dir(&gone).unwrap().count(), 0);
        assert!(kept.join("deep").is_dir());
    }
}
