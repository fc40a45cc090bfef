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
mod kept;
mod list;
mod range;
mod retention;
mod start;
mod stop;
mod view;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::FromRef;
use browserd_api::replays::Replay;
use browserd_api::{ErrorCode, ProjectId, ReplayId};
use browserd_fleet::{Fleet, SessionView};
use browserd_rest::{Error, Result, body_limit};
use browserd_store::{ReplayRow, Store};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::caller::Sessions;
use crate::public_url::PublicUrl;
use crate::refusal;
use crate::relay::Guests;
use crate::resource::refusals::from_store;
use crate::resource::{Mine, Resource, repeated};
use crate::token::Tokens;

pub use kept::{Recordings, Retention};

/// Seconds a client is asked to wait for a recording that is not finished.
const RETRY_AFTER: u32 = 2;

/// Routes that take an API key, with their document.
pub(crate) fn routes<S>(json_limit: usize) -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<dyn Store>: FromRef<S>,
    Fleet: FromRef<S>,
    Tokens: FromRef<S>,
    Arc<PublicUrl>: FromRef<S>,
    Replays: FromRef<S>,
{
    OpenApiRouter::default()
        .routes(routes!(list::list, start::start))
        .routes(routes!(download::download))
        .routes(routes!(stop::stop))
        .layer(body_limit(json_limit))
}

/// The route that takes a recording's own token.
pub(crate) fn view_routes<S>() -> OpenApiRouter<S>
where
    S: Clone + Send + Sync + 'static,
    Arc<dyn Store>: FromRef<S>,
    Tokens: FromRef<S>,
    Replays: FromRef<S>,
{
    OpenApiRouter::default().routes(routes!(view::view))
}

/// The recordings that are followed to their end, and where they are kept then. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Replays(Arc<Inner>);

struct Inner {
    fleet: Fleet,
    guests: Guests,
    recordings: Option<Recordings>,
    tasks: TaskTracker,
    /// Closed once the recording's row says how it ended.
    open: Mutex<HashMap<ReplayId, watch::Receiver<()>>>,
    /// Told when one has ended.
    ended: Notify,
    /// Bytes of those that ended since retention looked last.
    ended_bytes: AtomicU64,
}

impl Replays {
    /// None are followed yet. Without `recordings` there is no place for any.
    pub(crate) fn new(fleet: Fleet, guests: Guests, recordings: Option<Recordings>) -> Self {
        let (tasks, open, ended) = (TaskTracker::new(), Mutex::default(), Notify::new());
        let ended_bytes = AtomicU64::new(0);
        Self(Arc::new(Inner { fleet, guests, recordings, tasks, open, ended, ended_bytes }))
    }

    /// Where recordings are kept.
    fn recordings(&self) -> Result<&Recordings> {
        self.0.recordings.as_ref().ok_or_else(|| {
            Error::new(ErrorCode::NotImplemented, "this server has no place to keep recordings")
        })
    }

    /// Waits until every recording's end is recorded.
    pub(crate) async fn settled(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Waits until a recording's end is recorded.
    async fn over(&self, id: &ReplayId) {
        let open = self.0.open.lock().get(id).cloned();
        if let Some(mut open) = open {
            while open.changed().await.is_ok() {}
        }
    }
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
async fn session(sessions: &Sessions, id_or_name: &str) -> Result<SessionView> {
    sessions.find(id_or_name, true).await.map_err(refusal::from_fleet)
}

/// A recording of a session.
async fn find(mine: &Mine<Replays>, session: &SessionView, id: &str) -> Result<ReplayRow> {
    let row = match id.parse() {
        Ok(id) => mine.rows().of_session_by_id(&session.id, &id).await.map_err(from_store)?,
        Err(_) => None,
    };
    row.ok_or_else(|| Replays::not_found(id))
}

/// A recording of a project as clients see it.
fn show(
    tokens: &Tokens,
    public: &PublicUrl,
    project: &ProjectId,
    row: &ReplayRow,
) -> Result<Replay> {
    let jwt = tokens.sign_replay(project, &row.session_id, &row.id)?;
    let end = row.end.as_ref();
    Ok(Replay {
        replay_id: row.id.clone(),
        started_at: row.started_at,
        finished_at: end.map(|end| end.finished_at),
        replay_view_url: format!("{}{}?jwt={jwt}&replay_id={}", public.http, view::PATH, row.id),
        end_reason: end.map(|end| end.reason),
        size_bytes: end.map(|end| end.size_bytes),
    })
}
