//! `POST /extensions`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Request, State};
use browserd_api::{ApiError, ErrorCode};
use browserd_chromium::cdp::{Cdp, CdpError};
use browserd_guest_browser::{PolicyExtension, PolicyInstallError};
use browserd_guest_http::refusals::{BodyRefusals, Refusals, StorageRefusals};
use browserd_rest::{Error, Result};
use http::StatusCode;

use super::form::{self, Upload};
use super::place::{self, Placed};
use super::staging::Staging;
use super::{Extensions, Inner};

/// Load extensions into the running browser.
///
/// The form has a `name` and a `zip_file` for each (`extensions[][name]`, `extensions[0][name]` or
/// `extensions.name`, and `zip_file` likewise), at most 20, each archive at most 50 MiB and 512 MiB
/// unpacked, with `manifest.json` at its top. They are unpacked to `/home/kernel/extensions/<name>` and
/// loaded at once: Chromium does not restart, clients stay connected, pages opened from now on get
/// content scripts. They stay when Chromium restarts.
///
/// An archive with `update.xml` and a `.crx` beside a manifest with a `webRequest` or `enterprise`
/// permission is installed by enterprise policy instead, from the `.crx`, with what only such
/// extensions may do (`webRequestBlocking`); nobody can disable it. It takes some seconds. Chromium
/// fetches both files from `http://127.0.0.1:10001/extensions/<name>/`, inside the session; where
/// `codebase` points to does not matter.
///
/// All or nothing: a name that is taken, an archive that is none or has links or paths out of its
/// folder, a `.crx` whose signature does not hold or that is not the one `update.xml` offers (by id
/// and version), and an extension Chromium does not take (its reason is quoted) are 400, and nothing
/// is left behind. So is every extension in a headless session of a server whose operator chose
/// `chromium-headless-shell` for those.
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
    if inner.browser.runs_shell() {
        return Err(Error::field(
            "extensions",
            "headless sessions of this server run chromium-headless-shell, which takes no extensions; \
             create a headful session for them",
        ));
    }
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
    let work = move || place::place(&session, &staging, &uploads);
    let placed = tokio::task::spawn_blocking(work).await.map_err(Error::internal)??;
    let folders: Vec<PathBuf> = placed.iter().map(|placed| placed.folder.clone()).collect();
    let outcome = load_all(inner, placed).await;
    if outcome.is_err() {
        let remove = move || place::remove(folders.iter().map(PathBuf::as_path));
        let _ = tokio::task::spawn_blocking(remove).await;
    }
    outcome
}

/// Loads all of them, or none.
async fn load_all(inner: &Inner, placed: Vec<Placed>) -> Result<()> {
    let (by_policy, unpacked): (Vec<_>, Vec<_>) =
        placed.into_iter().partition(|placed| placed.packed.is_some());
    let running = inner
        .browser
        .running()
        .await
        .map_err(|error| Error::new(ErrorCode::UpstreamUnavailable, error.to_string()))?;
    let mut loaded = Vec::new();
    for Placed { folder, .. } in &unpacked {
        match running.cdp.load_extension(folder).await {
            Ok(id) => loaded.push(id),
            Err(error) => {
                unload(&running.cdp, &loaded).await;
                return Err(refused(folder, error));
            }
        }
    }
    if let Err(error) = install_all_by_policy(inner, by_policy).await {
        unload(&running.cdp, &loaded).await;
        return Err(error);
    }
    let folders = unpacked.into_iter().map(|placed| placed.folder).collect();
    inner.browser.desired_state().keep_extensions(folders);
    Ok(())
}

/// Has Chromium install those that are for a policy, all of them or none.
async fn install_all_by_policy(inner: &Inner, by_policy: Vec<Placed>) -> Result<()> {
    if by_policy.is_empty() {
        return Ok(());
    }
    let mut known = inner.browser.desired_state().policy_extensions();
    let kept = known.len();
    let mut names = Vec::new();
    let mut outcome = serve_all(inner, by_policy, &mut known, &mut names).await;
    if outcome.is_ok() {
        let installed = inner.browser.install_by_policy(&known[kept..]).await;
        outcome = installed.map_err(|error| not_installed(&names, error));
    }
    if outcome.is_err() {
        inner.updates.forget(names.iter().map(String::as_str));
    }
    outcome
}

/// Serves them to Chromium, beside those it knows.
async fn serve_all(
    inner: &Inner,
    by_policy: Vec<Placed>,
    known: &mut Vec<PolicyExtension>,
    names: &mut Vec<String>,
) -> Result<()> {
    for Placed { name, packed, .. } in by_policy {
        let Some(packed) = packed else { continue };
        if known.iter().any(|known| known.id == packed.id) {
            let words = format!("{name}: the extension {} is there already", packed.id);
            return Err(Error::field("extensions.zip_file", words));
        }
        known.push(inner.updates.serve(&name, packed).await.map_err(Error::internal)?);
        names.push(name);
    }
    Ok(())
}

async fn unload(cdp: &Cdp, ids: &[String]) {
    for id in ids {
        if let Err(error) = cdp.unload_extension(id).await {
            tracing::warn!(%error, "an extension could not be unloaded after a failed upload; it stays loaded");
        }
    }
}

fn refused(path: &Path, error: CdpError) -> Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match error {
        CdpError::Refused { message, .. } => not_taken(&name, message),
        other => Error::new(
            ErrorCode::UpstreamUnavailable,
            format!("the extension {name} was not loaded: {other}"),
        ),
    }
}

/// A refusal in Chromium's words.
fn not_taken(name: &str, words: String) -> Error {
    Error(
        ApiError::new(
            ErrorCode::InvalidInput,
            format!("Chromium does not take the extension {name}: {words}"),
        )
        .detail("extensions.zip_file", words.clone())
        .inner("chromium", words),
    )
}

fn not_installed(names: &[String], error: PolicyInstallError) -> Error {
    let names = names.join(", ");
    match error {
        PolicyInstallError::Refused(words) => not_taken(&names, words),
        PolicyInstallError::TooMany | PolicyInstallError::KeptAway => {
            Error::field("extensions.zip_file", format!("{names}: {error}"))
        }
        PolicyInstallError::NotFollowed(_)
        | PolicyInstallError::NoBrowser(_)
        | PolicyInstallError::Cdp(_) => Error::new(
            ErrorCode::UpstreamUnavailable,
            format!("the extension {names} was not installed by policy: {error}"),
        ),
        PolicyInstallError::Files(error) => place::disk(&error),
    }
}
