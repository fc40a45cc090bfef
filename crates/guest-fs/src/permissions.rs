//! `PUT /fs/set_file_permissions`.

use std::os::fd::AsFd;

use axum::extract::State;
use browserd_api::fs::SetPermissionsRequest;
use browserd_guest_http::refusals::{BodyRefusals, FileRefusals, Refusals};
use browserd_rest::{Error, Json, Result};
use http::StatusCode;
use rustix::fs::{AtFlags, CWD, Gid, Mode, Uid, chmodat, chownat};

use super::path::{self, Given};
use super::{Files, blocking, place, through};
use crate::accounts;

/// Set permissions, and owners where asked for.
///
/// Links are followed. `owner` and `group` are names of the session's /etc/passwd and /etc/group, or
/// ids. All of it is done or nothing: a name nobody has, or an id the session does not have (a rootless
/// one has one only), is 400, and what the session has no right to is 403 `forbidden`.
#[utoipa::path(
    put,
    path = "/fs/set_file_permissions",
    operation_id = "browsers_fs_set_file_permissions",
    tag = "browsers/fs",
    request_body = SetPermissionsRequest,
    responses((status = 200, description = "Done."), Refusals, FileRefusals, BodyRefusals),
)]
pub(super) async fn set_file_permissions(
    State(files): State<Files>,
    Json(request): Json<SetPermissionsRequest>,
) -> Result<StatusCode> {
    let given = Given::new("path", request.path)?;
    let mode = path::mode("mode", &request.mode)?;
    blocking(move || {
        let owner = request.owner.as_deref().map(|name| {
            accounts::uid(name).map(Uid::from_raw).ok_or_else(|| {
                Error::field("owner", "is neither a user of this session nor a uid")
            })
        });
        let group = request.group.as_deref().map(|name| {
            accounts::gid(name).map(Gid::from_raw).ok_or_else(|| {
                Error::field("group", "is neither a group of this session nor a gid")
            })
        });
        let (owner, group) = (owner.transpose()?, group.transpose()?);
        let (fd, before) = place::look(&given)?;
        let own = |uid, gid| chownat(&fd, "", uid, gid, AtFlags::EMPTY_PATH);
        if owner.is_some() || group.is_some() {
            own(owner, group).map_err(|errno| {
                let field = if owner.is_some() { "owner" } else { "group" };
                let many = files.0.session.spec.many_uids;
                match errno {
                    rustix::io::Errno::INVAL => Error::field(field, "is an id that does not exist in this session"),
                    errno if many => given.refuse(errno),
                    _ => Error::new(
                        browserd_api::ErrorCode::Forbidden,
                        format!("{field}: this session has one user only, so nothing can be given to another; the permissions were not changed either"),
                    ),
                }
            })?;
        }
        change_mode(&fd, mode).map_err(|errno| {
            // The owner can hardly be refused what was granted a moment ago.
            if owner.is_some() || group.is_some() {
                let (uid, gid) = (Uid::from_raw(before.st_uid), Gid::from_raw(before.st_gid));
                let _ = own(Some(uid), Some(gid));
            }
            given.refuse(errno)
        })?;
        Ok(StatusCode::OK)
    })
    .await
}

/// Changes the permissions of what is open for looking only, which `fchmod` does not do.
pub(super) fn change_mode(fd: impl AsFd, mode: Mode) -> rustix::io::Result<()> {
    chmodat(CWD, through(fd), mode, AtFlags::empty())
}
