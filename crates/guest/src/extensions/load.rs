//! `POST /extensions`.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Request, State};
use browserd_api::{ApiError, ErrorCode};
use browserd_chromium::cdp::{Cdp, CdpError};
use browserd_rest::{Error, Result};
use http::StatusCode;
use rustix::fs::{Mode, OFlags, RenameFlags};
use serde_json::Value;

use super::Extensions;
use super::form::{self, Upload};
use super::staging::Staging;
use crate::fs::Owner;
use crate::fs::archive::{self, Limits, Refused};
use crate::refusals::{BodyRefusals, Refusals, StorageRefusals};
use crate::session::Session;

/// What may come out of one archive.
const LIMITS: Limits = Limits { entries: 20_000, bytes: 512 << 20, depth: 32 };
/// Largest manifest looked at, bytes.
const MANIFEST: u64 = 1 << 20;

/// Load extensions into the running browser.
///
/// The form has a `name` and a `zip_file` for each (`extensions[][name]`, `extensions[0][name]` or
/// `extensions.name`, and `zip_file` likewise), at most 20, each archive at most 50 MiB and 512 MiB
/// unpacked, with `manifest.json` at its top. They are unpacked to `/home/kernel/extensions/<name>` and
/// loaded at once: Chromium does not restart, clients stay connected, pages opened from now on get
/// content scripts. They stay when Chromium restarts.
///
/// All or nothing: a name that is taken, an archive that is none or has links or paths out of its
/// folder, and an extension Chromium does not take (its reason is quoted) are 400, and nothing is left
/// behind. Extensions that Chromium takes from an enterprise policy only (`update.xml` and a `.crx`
/// beside a `webRequest` permission) are 400 too.
#[utoipa::path(
    post,
    path = "/extensions",
    operation_id = "browsers_load_extensions",
    tag = "browsers/extensions",
    request_body(content = browserd_api::extensions::LoadExtensions, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "All of them are loaded."),
        Refusals, BodyRefusals, StorageRefusals,
    ),
)]
pub(super) async fn load(
    State(extensions): State<Extensions>,
    request: Request,
) -> Result<StatusCode> {
    let inner = &*extensions.0;
    let (parts, body) = request.into_parts();
    let _upload = inner.uploads.acquire().await.map_err(Error::internal)?;
    let staging = Arc::new(Staging::new(&inner.session).map_err(Error::internal)?);
    let uploads = form::read(&parts.headers, body, &staging, &inner.session.disk).await?;
    // What follows is not given up half way when the client goes.
    let loaded = tokio::spawn(place_and_load(extensions.clone(), staging, uploads)).await;
    loaded.map_err(Error::internal)??;
    Ok(StatusCode::CREATED)
}

async fn place_and_load(
    extensions: Extensions,
    staging: Arc<Staging>,
    uploads: Vec<Upload>,
) -> Result<()> {
    let inner = &*extensions.0;
    let _loading = inner.loading.lock().await;
    let session = Arc::clone(&inner.session);
    let work = move || place(&session, &staging, &uploads);
    let placed = tokio::task::spawn_blocking(work).await.map_err(Error::internal)??;
    let outcome = load_all(&extensions, &placed).await;
    if outcome.is_err() {
        let _ = tokio::task::spawn_blocking(move || remove(&placed)).await;
        return outcome;
    }
    inner.browser.standing().keep_extensions(placed);
    Ok(())
}

/// Unpacks everything and moves it to its place.
fn place(session: &Session, staging: &Staging, uploads: &[Upload]) -> Result<Vec<PathBuf>> {
    for upload in uploads {
        let unpacked = staging.unpacked(upload.archive);
        let archive = File::open(staging.archive(upload.archive)).map_err(Error::internal)?;
        let (owner, room) = (Owner::of(session), session.disk.clone());
        let done = archive::unzip_fresh(&archive, &unpacked, LIMITS, owner, room);
        done.map_err(|refused| match refused {
            Refused::Archive(words) => blame(upload, &format!("cannot be unpacked: {words}")),
            Refused::Disk(error) => disk(&error),
        })?;
        if by_policy_only(&unpacked) {
            return Err(blame(
                upload,
                "Chromium takes it from an enterprise policy only, which sessions do not have; \
                 without update.xml and the .crx it is loaded as an unpacked extension",
            ));
        }
    }
    let home = session.places.home.join("extensions");
    let folder = open_folder(&home, session).map_err(|error| disk(&error))?;
    let mut placed = Vec::new();
    for upload in uploads {
        let (from, to) = (staging.unpacked(upload.archive), upload.name.as_str());
        let flags = RenameFlags::NOREPLACE;
        let moved = rustix::fs::renameat_with(rustix::fs::CWD, &from, &folder, to, flags);
        if let Err(errno) = moved {
            remove(&placed);
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
        placed.push(home.join(to));
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

/// Whether it is packed for an enterprise policy: it names an update server and brings the packed
/// form, because it asks for what unpacked extensions do not get.
fn by_policy_only(folder: &Path) -> bool {
    let manifest = File::open(folder.join("manifest.json"))
        .ok()
        .and_then(|file| serde_json::from_reader::<_, Value>(io::Read::take(file, MANIFEST)).ok());
    let asks = manifest
        .as_ref()
        .and_then(|manifest| manifest["permissions"].as_array())
        .is_some_and(|permissions| {
            permissions
                .iter()
                .any(|name| name.as_str().is_some_and(|n| n.starts_with("webRequest")))
        });
    let packed = || {
        fs::read_dir(folder).is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.path().extension().is_some_and(|ext| ext == "crx"))
        })
    };
    asks && folder.join("update.xml").is_file() && packed()
}

async fn load_all(extensions: &Extensions, placed: &[PathBuf]) -> Result<()> {
    let running = extensions
        .0
        .browser
        .running()
        .await
        .map_err(|error| Error::new(ErrorCode::UpstreamUnavailable, error.to_string()))?;
    let mut loaded = Vec::new();
    for path in placed {
        match running.cdp.load_extension(path).await {
            Ok(id) => loaded.push(id),
            Err(error) => {
                unload(&running.cdp, &loaded).await;
                return Err(refused(path, error));
            }
        }
    }
    Ok(())
}

async fn unload(cdp: &Cdp, ids: &[String]) {
    for id in ids {
        if let Err(error) = cdp.unload_extension(id).await {
            tracing::warn!(%error, "an extension was not taken back");
        }
    }
}

fn refused(path: &Path, error: CdpError) -> Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match error {
        CdpError::Refused { message, .. } => Error(
            ApiError::new(
                ErrorCode::InvalidInput,
                format!("Chromium does not take the extension {name}: {message}"),
            )
            .detail("extensions.zip_file", message.clone())
            .inner("chromium", message),
        ),
        other => Error::new(
            ErrorCode::UpstreamUnavailable,
            format!("the extension {name} was not loaded: {other}"),
        ),
    }
}

fn blame(upload: &Upload, words: &str) -> Error {
    Error::field("extensions.zip_file", format!("{}: {words}", upload.name))
}

fn disk(error: &io::Error) -> Error {
    if let Some(full) = crate::disk::full(error) {
        return full.refuse("the extensions");
    }
    if error.kind() == io::ErrorKind::StorageFull || error.kind() == io::ErrorKind::QuotaExceeded {
        let message = "the session's disk is full; make room and try again";
        return Error::new(ErrorCode::InsufficientStorage, message);
    }
    Error::internal(error)
}

fn remove(placed: &[PathBuf]) {
    for path in placed {
        if let Err(error) = fs::remove_dir_all(path) {
            tracing::warn!(%error, "an extension that was not loaded is still there");
        }
    }
}
