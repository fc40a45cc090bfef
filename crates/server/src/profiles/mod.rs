//! Profiles: create, list, get, rename, delete, download; loading one into a session, and saving it.
//! One file an action.
//!
//! Owns their routes, rows and blobs. What a browser's state is, and how it gets into one and out of
//! it, is the guest's: here it is an archive that nobody opens.
//!
//! ```text
//!  blob ──PUT /internal/profile──▶ guest of a session that begins, or has none yet
//!  session over for clients, still running ──POST /internal/profile/save──▶ new blob ─▶ row ─▶ old blob gone
//!                     └ whoever asks for the profile meanwhile waits for it
//!  start of a server ──blobs that no row has──▶ gone
//! ```

mod create;
mod delete;
mod download;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod get;
mod list;
mod load;
mod save;
mod sweep;
mod update;
mod validate;

use axum::extract::DefaultBodyLimit;
use browserd_api::profiles::Profile;
use browserd_api::{ApiError, ErrorCode, ProfileId};
use browserd_fleet::ProfileChoice;
use browserd_rest::{Error, Result};
use browserd_store::{BlobKey, ProfileRow, Saved, StoreError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub(crate) use download::ProfileFormat;
pub(crate) use load::load;
pub use save::Profiles;

/// All routes of the resource, with their document.
pub(crate) fn routes(json_limit: usize) -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, delete::delete, update::update))
        .routes(routes!(download::download))
        .layer(DefaultBodyLimit::max(json_limit))
}

/// The profile that a session asks for, as it is once nobody is saving it any more.
pub(crate) async fn take(app: &App, asked: &ProfileChoice) -> Result<ProfileRow> {
    let id = find(app, &asked.id_or_name).await?.id;
    if !kept(app)?.settled(&id).await {
        return Err(Error::new(
            ErrorCode::Conflict,
            "another session is still saving this profile; try again in a moment",
        ));
    }
    find(app, id.as_str()).await
}

/// Where profiles are kept.
fn kept(app: &App) -> Result<&Profiles> {
    app.config
        .profiles
        .as_ref()
        .ok_or_else(|| Error::new(ErrorCode::NotImplemented, "this server keeps no profiles"))
}

/// The profile with this id or name.
async fn find(app: &App, id_or_name: &str) -> Result<ProfileRow> {
    let profiles = app.fleet.store().profiles();
    if let Ok(id) = id_or_name.parse()
        && let Some(row) = profiles.by_id(&id).await.map_err(Error::internal)?
    {
        return Ok(row);
    }
    let row = profiles.by_name(id_or_name).await.map_err(Error::internal)?;
    row.ok_or_else(|| not_found(id_or_name))
}

fn not_found(id_or_name: &str) -> Error {
    let shown: String = id_or_name.chars().take(64).collect();
    Error::new(
        ErrorCode::ProfileNotFound,
        format!("no profile has the id or name {shown:?}; GET /profiles lists them"),
    )
}

/// 409 for a name another profile has.
async fn taken(app: &App, name: &str) -> Error {
    let holder = app.fleet.store().profiles().by_name(name).await.ok().flatten();
    let error = ApiError::new(
        ErrorCode::AlreadyExists,
        format!("another profile is called {name}; choose another name"),
    );
    Error(match holder {
        Some(holder) => error.detail("existing_id", holder.id.to_string()),
        None => error,
    })
}

/// What came of a change to a profile that was just there.
async fn refused(app: &App, id_or_name: &str, name: &str, error: StoreError) -> Error {
    match error {
        StoreError::NotFound => not_found(id_or_name),
        StoreError::Taken => taken(app, name).await,
        other => Error::internal(other),
    }
}

/// Where what is saved of a profile is.
fn key(id: &ProfileId, saved: &Saved) -> Result<BlobKey> {
    BlobKey::profile(id, &saved.version)
        .ok_or_else(|| Error::internal("a profile's version is no name"))
}

/// A profile as clients see it.
fn show(row: ProfileRow) -> Profile {
    let ProfileRow { id, name, created_at, updated_at, last_used_at, saved: _ } = row;
    Profile { id, name, created_at, updated_at, last_used_at }
}
