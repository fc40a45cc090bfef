//! `GET /fs/watch/{watch_id}/events`.

use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, State};
use axum::response::Response;
use browserd_api::fs::FileEvent;
use browserd_guest_http::refusals::Refusals;
use browserd_guest_http::sse::{self, COMMENT, KEEPALIVE};
use browserd_rest::{Error, Result};
use bytes::Bytes;
use futures_util::stream;
use http::request::Parts;
use tokio::sync::watch::Receiver;

use super::super::Files;
use super::ring::{Next, Ring};
use super::{not_found, tree};

/// Stream what happens in a watched folder.
///
/// Server-sent events, each a JSON document: `{"type":"CREATE"|"WRITE"|"DELETE"|"RENAME","path":…,
/// "name":…,"is_dir":…}`. Any number of clients may read; each gets everything that has happened since
/// the watch began, as far as it is kept. `RENAME` has the old name, and the new one is a `CREATE`. A
/// file that `write_file` or `upload` has put in its place is a `CREATE` and a `WRITE`. Writes to a
/// file in a row may be one event. What a folder that has just appeared has in it is reported too.
/// When events were lost (more than are kept before they were read, or more than the kernel keeps)
/// the next one is a `WRITE` of the watched folder with `"overflow":true` (extension). When the
/// watched folder itself goes, a `DELETE` of it is the last event. While nothing happens a comment is
/// sent every 15 seconds.
#[utoipa::path(
    get,
    path = "/fs/watch/{watch_id}/events",
    operation_id = "browsers_fs_watch_events",
    tag = "browsers/fs",
    params(("watch_id" = String, Path, description = "Handle of the watch.")),
    responses(
        (status = 200, description = "The event stream.", body = FileEvent, content_type = "text/event-stream"),
        Refusals,
    ),
)]
pub(crate) async fn events(State(files): State<Files>, Id(id): Id) -> Result<Response> {
    let ring = files.0.watches.ring(&id)?;
    let changes = ring.changes();
    Ok(sse::response(sse::body(stream::unfold(Reader { ring, changes, at: 0 }, next))))
}

struct Reader {
    ring: Arc<Ring>,
    changes: Receiver<u64>,
    at: u64,
}

async fn next(mut reader: Reader) -> Option<(Bytes, Reader)> {
    loop {
        reader.changes.borrow_and_update();
        match reader.ring.read(&mut reader.at) {
            Next::Events(bytes) => return Some((bytes, reader)),
            Next::Lost => {
                let overflow = sse::event(&tree::overflow(reader.ring.root()));
                return Some((overflow, reader));
            }
            Next::Closed => return None,
            Next::Nothing => {}
        }
        if tokio::time::timeout(KEEPALIVE, reader.changes.changed()).await.is_err() {
            return Some((COMMENT, reader));
        }
    }
}

/// The `watch_id` of the path.
#[derive(Debug)]
pub(crate) struct Id(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> std::result::Result<Self, Error> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let id = params.as_ref().ok().and_then(|params| {
            params.iter().find(|(name, _)| *name == "watch_id").map(|(_, value)| value.to_owned())
        });
        id.map(Self).ok_or_else(not_found)
    }
}
