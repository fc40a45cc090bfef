//! The browsers resource: create, list, get, change, delete. One file an action.

mod create;
mod delete;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod get;
mod list;
mod services;
mod update;
pub(crate) mod validate;
mod view;

use std::sync::Arc;

use axum::extract::FromRef;
use browserd_api::browser::Region;
use browserd_fleet::Fleet;
use browserd_rest::{body_limit, refusals};
use browserd_store::Store;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::profiles::Profiles;
use crate::public_url::PublicUrl;
use crate::relay::Guests;
use crate::resource::ignored;
use crate::token::Tokens;

refusals! {
    /// Taking the profile that a session is to have.
    pub(crate) TakeProfile: ProfileNotFound, Conflict, DatabaseUnavailable, Internal;
}

/// What sessions are made, changed and shown with, beside the fleet.
pub(crate) struct Browsers {
    /// Rows of proxies, profiles and recordings.
    pub(crate) store: Arc<dyn Store>,
    /// The way to the guest of each session.
    pub(crate) guests: Guests,
    /// Where profiles are kept; none: there are none.
    pub(crate) profiles: Option<Profiles>,
    /// Signs the tokens of sessions.
    pub(crate) tokens: Tokens,
    /// What their URLs begin with.
    pub(crate) public: Arc<PublicUrl>,
    /// What clients may leave out.
    pub(crate) defaults: BrowserDefaults,
}

/// What sessions have whose clients say nothing of it.
pub(crate) struct BrowserDefaults {
    /// Region.
    pub(crate) region: Region,
    /// Time zone (IANA).
    pub(crate) timezone: String,
    /// Language (BCP 47).
    pub(crate) locale: String,
    /// Whether headless sessions run `chromium-headless-shell`, which has no policies.
    pub(crate) headless_shell: bool,
}

/// All routes of the resource, with their document.
pub(crate) fn routes<S>(create_limit: usize, json_limit: usize) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Fleet: FromRef<S>,
    Arc<Browsers>: FromRef<S>,
{
    let create =
        OpenApiRouter::default().routes(routes!(create::create)).layer(body_limit(create_limit));
    let rest = OpenApiRouter::default()
        .routes(routes!(list::list))
        .routes(routes!(get::get, delete::delete, update::update))
        .layer(body_limit(json_limit));
    create.merge(rest)
}
