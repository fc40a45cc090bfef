//! Recordings: start, stop, list, download, view. One file an action.
//!
//! Owns their routes, their rows and their files once they are finished. The recording itself is the
//! guest's ([`browserd_protocol::replay`]); a task here follows each one to its end.
//!
//! ```text
//!  start ─▶ guest records ─▶ row ─▶ follow ─┬─ ended ────────▶ file fetched ──▶ blob, row ended
//!                                           └─ session over ─▶ file rescued ─▶ blob, row ended
//!  kept too long, or too much ─▶ retention ─▶ blob and row gone
//! ```

mod download;
mod follow;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod guest;
mod list;
mod range;
mod retention;
mod start;
mod stop;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use browserd_api::replays::Replay;
use browserd_api::{ErrorCode, ProjectId, ReplayId};
use browserd_fleet::SessionView;
use browserd_rest::{Error, Result};
use browserd_store::ReplayRow;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::caller::Caller;
use crate::config::Recordings;
use crate::refusal;
use crate::resource::{Mine, Resource, repeated};

pub(crate) use follow::settle;
pub(crate) use retention::keep;

/// Seconds a client is asked to wait for a recording that is not finished.
const RETRY_AFTER: u32 = 2;

/// Routes that take an API key, with their document.
pub(crate) fn routes(json_limit: usize) -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list::list, start::start))
        .routes(routes!(download::download))
        .routes(routes!(stop::stop))
        .layer(DefaultBodyLimit::max(json_limit))
}

/// The route that takes a recording's own token.
pub(crate) fn view_routes() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(view::view))
}

/// The recordings that are followed to their end. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Replays {
    tasks: TaskTracker,
    /// Closed once the recording's row says how it ended.
    open: Arc<Mutex<HashMap<ReplayId, watch::Receiver<()>>>>,
    /// Told when one has ended.
    ended: Arc<Notify>,
}

impl Replays {
    /// Waits until every recording's end is recorded.
    pub(crate) async fn settled(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Waits until a recording's end is recorded.
    async fn over(&self, id: &ReplayId) {
        let open = self.open.lock().get(id).cloned();
        if let Some(mut open) = open {
            while open.changed().await.is_ok() {}
        }
    }
}

fn recordings(app: &App) -> Result<&Recordings> {
    app.config.recordings.as_ref().ok_or_else(|| {
        Error::new(ErrorCode::NotImplemented, "this server has no place to keep recordings")
    })
}

impl Resource for Replays {
    type Row = ReplayRow;
    const ONE: &'static str = "recording";
    const MANY: &'static str = "replays";
    const NOT_FOUND: ErrorCode = ErrorCode::ReplayNotFound;

    fn not_found(id: &str) -> Error {
        Error::new(
            Self::NOT_FOUND,
            format!(
                "this session has no recording {:?} (any more: they are removed some time after their \
                 end); GET /browsers/{{id_or_name}}/replays lists them",
                repeated(id)
            ),
        )
    }
}

/// A session of the caller's, running or not.
async fn session(app: &App, caller: &Caller, id_or_name: &str) -> Result<SessionView> {
    app.sessions(&caller.project).find(id_or_name, true).await.map_err(refusal::from_fleet)
}

/// A recording of a session.
async fn find(mine: &Mine<Replays>, session: &SessionView, id: &str) -> Result<ReplayRow> {
    let row = match id.parse() {
        Ok(id) => mine.rows().of_session_by_id(&session.id, &id).await.map_err(Error::internal)?,
        Err(_) => None,
    };
    row.ok_or_else(|| Replays::not_found(id))
}

/// A recording of a project as clients see it.
fn show(app: &App, project: &ProjectId, row: &ReplayRow) -> Result<Replay> {
    let jwt = app.tokens.sign_replay(project, &row.session_id, &row.id)?;
    let end = row.end.as_ref();
    Ok(Replay {
        replay_id: row.id.clone(),
        started_at: row.started_at,
        finished_at: end.map(|end| end.finished_at),
        replay_view_url: format!(
            "{}{}?jwt={jwt}&replay_id={}",
            app.public.http,
            view::PATH,
            row.id
        ),
        end_reason: end.map(|end| end.reason),
        size_bytes: end.map(|end| end.size_bytes),
    })
}
