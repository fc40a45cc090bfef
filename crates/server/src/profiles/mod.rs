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

mod archive;
mod create;
mod delete;
mod download;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod get;
mod list;
mod load;
mod save;
mod saving;
mod sweep;
mod update;
pub(crate) mod validate;

use std::sync::Arc;

use axum::extract::FromRef;
use browserd_api::profiles::Profile;
use browserd_api::{ErrorCode, ProfileId, ProjectId};
use browserd_rest::{Error, Result, body_limit};
use browserd_store::{BlobKey, ProfileRow, Saved, Store};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::resource::{Resource, Shown};

pub use save::Profiles;

/// All routes of the resource, with their document.
pub(crate) fn routes<S>(json_limit: usize) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<dyn Store>: FromRef<S>,
    Option<Profiles>: FromRef<S>,
{
    OpenApiRouter::default()
        .routes(routes!(list::list, create::create))
        .routes(routes!(get::get, delete::delete, update::update))
        .routes(routes!(download::download))
        .layer(body_limit(json_limit))
}

/// Where profiles are kept, if they are.
pub(crate) fn kept(profiles: Option<&Profiles>) -> Result<&Profiles> {
    profiles.ok_or_else(|| Error::new(ErrorCode::NotImplemented, "this server keeps no profiles"))
}

/// Where what is saved of a profile is.
fn key(project: &ProjectId, id: &ProfileId, saved: &Saved) -> Result<BlobKey> {
    BlobKey::profile(project, id, &saved.version)
        .ok_or_else(|| Error::internal("a profile's version is no name"))
}

impl Resource for Profiles {
    type Row = ProfileRow;
    const ONE: &'static str = "profile";
    const MANY: &'static str = "profiles";
    const NOT_FOUND: ErrorCode = ErrorCode::ProfileNotFound;
}

impl Shown for Profiles {
    type Body = Profile;

    fn show(row: ProfileRow) -> Profile {
        let ProfileRow { id, name, created_at, updated_at, last_used_at, saved: _ } = row;
        Profile { id, name, created_at, updated_at, last_used_at }
    }
}
