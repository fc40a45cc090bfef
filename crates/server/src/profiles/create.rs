//! `POST /profiles`.

use axum::extract::State;
use axum::response::Response;
use browserd_api::profiles::Profile;
use browserd_api::{ProfileId, Timestamp};
use browserd_rest::{Optional, ReadBody, Refused, Result};
use browserd_store::ProfileRow;

use super::validate::CreateProfile;
use super::{Profiles, kept};
use crate::fields::Checked;
use crate::resource::refusals::Write;
use crate::resource::{Mine, created};

/// Create a profile
///
/// With nothing in it. A session that takes it with `save_changes` fills it when it ends.
///
/// Fields this version does not know are ignored and named in `x-browserd-ignored-fields`.
#[utoipa::path(post, path = "/profiles", operation_id = "profiles.create", tag = "profiles",
    request_body(content = Option<CreateProfile>, description = "What the profile is called."),
    responses((status = 201, description = "The profile.", body = Profile,
        headers(("x-browserd-ignored-fields" = String, description = "Fields of the body this version does not know."))),
        Refused<(ReadBody, Write<Profiles>)>))]
pub(crate) async fn create(
    State(profiles): State<Option<Profiles>>,
    mine: Mine<Profiles>,
    Optional(body): Optional<Checked<CreateProfile>>,
) -> Result<Response> {
    let (asked, ignored) = body.finish()?;
    kept(profiles.as_ref())?;
    let row = ProfileRow {
        id: ProfileId::generate(),
        name: asked.name,
        created_at: Timestamp::now(),
        updated_at: None,
        last_used_at: None,
        saved: None,
    };
    mine.insert(&row).await?;
    Ok(created::<Profiles>(row, &ignored))
}
