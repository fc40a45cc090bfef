//! From an archive to a folder below `~/extensions`.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use browserd_api::{ApiError, ErrorCode};
use browserd_guest_fs::Owner;
use browserd_guest_fs::archive::{self, Limits, Refused};
use browserd_guest_session::Session;
use browserd_rest::{Error, Result};
use rustix::fs::{Mode, OFlags, RenameFlags};

use super::form::Upload;
use super::packed::{self, Packed};
use super::staging::Staging;

/// What may come out of one archive.
const LIMITS: Limits = Limits { entries: 20_000, bytes: 512 << 20, depth: 32 };

/// An extension that is in its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) name: String,
    pub(super) folder: PathBuf,
    /// Its packed form, when it is one for a policy.
    pub(super) packed: Option<Packed>,
}

/// Unpacks everything and moves it to its place.
pub(super) fn place(
    session: &Session,
    staging: &Staging,
    uploads: &[Upload],
) -> Result<Vec<Placed>> {
    let mut packed = Vec::new();
    for upload in uploads {
        let unpacked = staging.unpacked(upload.archive);
        let archive = File::open(staging.archive(upload.archive)).map_err(Error::internal)?;
        let (owner, room) = (Owner::of(session), session.disk.clone());
        let done = archive::unzip_fresh(&archive, &unpacked, LIMITS, owner, room);
        done.map_err(|refused| match refused {
            Refused::Archive(words) => blame(upload, &format!("cannot be unpacked: {words}")),
            Refused::Disk(error) => disk(&error),
        })?;
        // While it is where nobody else inside can reach it.
        packed.push(packed::find(&unpacked).map_err(|words| blame(upload, &words))?);
    }
    let home = session.places.home.join("extensions");
    let folder = open_folder(&home, session).map_err(|error| disk(&error))?;
    let mut placed: Vec<Placed> = Vec::new();
    for (upload, packed) in uploads.iter().zip(packed) {
        let (from, to) = (staging.unpacked(upload.archive), upload.name.as_str());
        let flags = RenameFlags::NOREPLACE;
        let moved = rustix::fs::renameat_with(rustix::fs::CWD, &from, &folder, to, flags);
        if let Err(errno) = moved {
            remove(placed.iter().map(|placed| placed.folder.as_path()));
            return Err(match errno {
                rustix::io::Errno::EXIST => Error(
                    ApiError::new(
                        ErrorCode::InvalidInput,
                        format!("an extension called {to} is there already; choose another name"),
                    )
                    .detail("extensions.name", "is taken"),
                ),
                other => disk(&other.into()),
            });
        }
        placed.push(Placed { name: to.to_owned(), folder: home.join(to), packed });
    }
    tracing::debug!(folder = %staging.path().display(), "extensions are in place");
    Ok(placed)
}

/// The folder of extensions, which must not be a link to another.
fn open_folder(path: &Path, session: &Session) -> io::Result<OwnedFd> {
    match fs::create_dir(path) {
        Ok(()) => {
            if let Some(ids) = session.browser_ids() {
                std::os::unix::fs::lchown(path, Some(ids.uid), Some(ids.gid))?;
            }
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn blame(upload: &Upload, words: &str) -> Error {
    Error::field("extensions.zip_file", format!("{}: {words}", upload.name))
}

/// What a failure to write is answered with.
pub(super) fn disk(error: &io::Error) -> Error {
    if let Some(full) = browserd_guest_session::disk::full(error) {
        return full.refuse("the extensions");
    }
    if error.kind() == io::ErrorKind::StorageFull || error.kind() == io::ErrorKind::QuotaExceeded {
        let message = "the session's disk is full; make room and try again";
        return Error::new(ErrorCode::InsufficientStorage, message);
    }
    Error::internal(error)
}

/// Removes folders again.
pub(super) fn remove<'a>(folders: impl IntoIterator<Item = &'a Path>) {
    for folder in folders {
        if let Err(error) = fs::remove_dir_all(folder) {
            tracing::warn!(
                %error,
                path = %folder.display(),
                "the folder of an extension that was not loaded could not be removed; it goes with the \
                 session"
            );
        }
    }
}
