//! `GET /logs/stream`.

use axum::extract::State;
use axum::response::Response;
use browserd_api::Timestamp;
use browserd_api::logs::{LogEvent, LogEventKind, LogSource, LogStart};
use browserd_guest_http::Query;
use browserd_guest_http::refusals::{FileRefusals, Refusals};
use browserd_guest_http::sse::{self, COMMENT, KEEPALIVE};
use browserd_rest::{Error, Result};
use bytes::Bytes;
use futures_util::stream as streams;
use tokio::sync::OwnedSemaphorePermit;

use super::LogStreams;
use super::source::Source;
use super::tail::{Step, Tail};
use crate::blocking;
use crate::inotify::Alarm;

/// Stream the lines of a log.
///
/// Server-sent events, each a JSON document: `{"event":"log","timestamp":…,"message":…}`, one a line;
/// the time is when the line was read. Lines are cut at 64 KiB, and bytes that are not UTF-8 are
/// replaced.
///
/// `source=path` reads any text file by its absolute `path`; `source=supervisor` the log of one of
/// the session's own programs, named by `supervisor_process`: `chromium` (what pages write to their
/// console included, except in incognito contexts), `xserver` (headful sessions) or `guest`.
///
/// With `follow` (the default) the stream begins with the next line that is written, and goes on
/// through truncation and rotation; the file need not be there yet, its folder must. Without it, the
/// stream begins with the oldest line kept, that of the file set aside last (`NAME.1`) for the
/// session's own programs, and ends with the last one. `from` (extension) says otherwise. While
/// nothing is written a comment is sent every 15 seconds. Up to 64 streams at one time (429).
#[utoipa::path(
    get,
    path = "/logs/stream",
    operation_id = "browsers_logs_stream",
    tag = "browsers/logs",
    params(
        ("source" = LogSource, Query, description = "Where lines come from."),
        ("path" = Option<String>, Query, description = "Absolute path of the file, with `source=path`."),
        ("supervisor_process" = Option<String>, Query, description = "Name of the program, with `source=supervisor`."),
        ("follow" = Option<bool>, Query, description = "Go on when the end is reached. Default true."),
        ("from" = Option<LogStart>, Query, description = "Extension: where to begin. Default `end` with `follow`, else `start`."),
    ),
    responses(
        (status = 200, description = "The event stream.", body = LogEvent, content_type = "text/event-stream"),
        Refusals, FileRefusals,
    ),
)]
pub(super) async fn stream(State(logs): State<LogStreams>, query: Query) -> Result<Response> {
    let source = Source::of(&query, &logs.session)?;
    let follow = match query.get("follow")?.as_deref() {
        None | Some("true" | "1") => true,
        Some("false" | "0") => false,
        Some(_) => return Err(Error::field("follow", "is neither true nor false")),
    };
    let from_start = match query.get("from")?.as_deref() {
        None => !follow,
        Some("start") => true,
        Some("end") => false,
        Some(_) => return Err(Error::field("from", "is neither start nor end")),
    };
    let slot = logs.slot()?;
    let tail = blocking(move || Tail::open(&source, follow, from_start)).await?;
    let alarm = tail.kernel().map(Alarm::new).transpose().map_err(Error::internal)?;
    let reader = Reader { tail, alarm, _slot: slot };
    Ok(sse::response(sse::body(streams::unfold(Some(reader), next))))
}

struct Reader {
    tail: Tail,
    /// None when the end of the file is the end.
    alarm: Option<Alarm>,
    _slot: OwnedSemaphorePermit,
}

async fn next(reader: Option<Reader>) -> Option<(Bytes, Option<Reader>)> {
    let mut reader = reader?;
    loop {
        let turn = tokio::task::spawn_blocking(move || {
            let mut text = Vec::new();
            let step = reader.tail.step(|line| text.extend_from_slice(&event(line)));
            (reader, text, step)
        });
        let (back, text, step) = turn.await.ok()?;
        reader = back;
        let step = step.unwrap_or_else(|error| {
            tracing::debug!(%error, "a log cannot be read on");
            Step::End
        });
        let over = step == Step::End;
        if !text.is_empty() {
            return Some((text.into(), (!over).then_some(reader)));
        }
        match (step, &reader.alarm) {
            (Step::Read, _) => {}
            (Step::Idle, Some(alarm)) => {
                alarm.reset();
                match tokio::time::timeout(KEEPALIVE, alarm.rings()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return None,
                    Err(_) => return Some((COMMENT, Some(reader))),
                }
            }
            (Step::End, _) | (Step::Idle, None) => return None,
        }
    }
}

fn event(line: &[u8]) -> Bytes {
    sse::event(&LogEvent {
        event: LogEventKind::Log,
        timestamp: Timestamp::now(),
        message: String::from_utf8_lossy(line).into_owned(),
    })
}
