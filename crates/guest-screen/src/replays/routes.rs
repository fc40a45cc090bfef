//! The routes by which `serve` records.

use std::fs::File;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use browserd_api::{ErrorCode, ReplayId};
use browserd_protocol::replay::{Ended, Order, ROUTES, Started};
use browserd_rest::{Error, Json, Result, body_limit, method_not_allowed};
use http::{HeaderValue, StatusCode, header};
use tokio_util::io::ReaderStream;

use super::audio::NoAudio;
use super::recording::{self, StartError};
use super::{KEPT_LIMIT, RUNNING_LIMIT, Recording, Replays, Slot};

/// Largest body, bytes.
const BODY: usize = 16 << 10;
/// A file is sent in pieces of so many bytes.
const PIECE: usize = 256 << 10;

/// The routes; `serve` alone reaches them.
pub fn router(replays: Replays) -> Router {
    Router::new()
        .route(ROUTES, post(start))
        .route(&format!("{ROUTES}/{{id}}"), axum::routing::delete(forget))
        .route(&format!("{ROUTES}/{{id}}/stop"), post(stop))
        .route(&format!("{ROUTES}/{{id}}/end"), get(end))
        .route(&format!("{ROUTES}/{{id}}/file"), get(file))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(body_limit(BODY))
        .with_state(replays)
}

/// A place taken while a start is under way, given back unless the start succeeds.
struct Place<'a> {
    replays: &'a Replays,
    id: ReplayId,
    taken: bool,
}

impl<'a> Place<'a> {
    fn take(replays: &'a Replays, id: &ReplayId) -> Result<Self> {
        let mut kept = replays.kept.lock();
        let running = kept.values().filter(|slot| match slot {
            Slot::Starting => true,
            Slot::There(recording) => !recording.is_over(),
        });
        if running.count() >= RUNNING_LIMIT || kept.len() >= KEPT_LIMIT {
            return Err(Error::new(
                ErrorCode::TooManyReplays,
                format!(
                    "{RUNNING_LIMIT} recordings of this session are under way, and it may not have more; stop one first"
                ),
            ));
        }
        if kept.contains_key(id) {
            return Err(Error::field("replay_id", "a recording has this id"));
        }
        kept.insert(id.clone(), Slot::Starting);
        Ok(Self { replays, id: id.clone(), taken: true })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if self.taken {
            self.replays.kept.lock().remove(&self.id);
        }
    }
}

async fn start(
    State(replays): State<Replays>,
    Json(order): Json<Order>,
) -> Result<(StatusCode, axum::Json<Started>)> {
    let mut place = Place::take(&replays, &order.replay_id)?;
    let recording = recording::start(&replays, order).await.map_err(|error| {
        let code = match &error {
            StartError::NoEncoder | StartError::Audio(NoAudio::NotInstalled) => {
                ErrorCode::NotImplemented
            }
            StartError::NoPicture | StartError::Audio(_) => ErrorCode::UpstreamUnavailable,
            StartError::Full(full) => return full.refuse("a recording"),
            StartError::Io(error) => return Error::internal(error),
        };
        Error::new(code, error.to_string())
    })?;
    let started_at = recording.started_at;
    replays.kept.lock().insert(place.id.clone(), Slot::There(recording));
    place.taken = false;
    Ok((StatusCode::CREATED, axum::Json(Started { started_at })))
}

fn find(replays: &Replays, id: &str) -> Result<std::sync::Arc<Recording>> {
    id.parse()
        .ok()
        .and_then(|id| replays.find(&id))
        .ok_or_else(|| Error::new(ErrorCode::ReplayNotFound, "this guest has no such recording"))
}

async fn stop(State(replays): State<Replays>, Path(id): Path<String>) -> Result<StatusCode> {
    find(&replays, &id)?.stop();
    Ok(StatusCode::OK)
}

async fn end(State(replays): State<Replays>, Path(id): Path<String>) -> Result<axum::Json<Ended>> {
    let ended = find(&replays, &id)?.ended().await;
    Ok(axum::Json(ended.ok_or_else(|| Error::internal("a recording's task is gone"))?))
}

async fn file(State(replays): State<Replays>, Path(id): Path<String>) -> Result<Response> {
    let recording = find(&replays, &id)?;
    recording.ended().await;
    let file = File::open(&recording.path).map_err(Error::internal)?;
    let length = file.metadata().map_err(Error::internal)?.len();
    let body = ReaderStream::with_capacity(tokio::fs::File::from_std(file), PIECE);
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

async fn forget(State(replays): State<Replays>, Path(id): Path<String>) -> Result<StatusCode> {
    let recording = find(&replays, &id)?;
    recording.stop();
    recording.ended().await;
    if let Err(error) = std::fs::remove_file(&recording.path) {
        tracing::warn!(
            %error,
            recording = id,
            "the file of a deleted recording could not be removed; it goes with the session"
        );
    }
    if let Ok(id) = id.parse() {
        replays.kept.lock().remove(&id);
    }
    Ok(StatusCode::NO_CONTENT)
}
