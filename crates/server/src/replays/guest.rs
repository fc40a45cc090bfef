//! What guests are asked about their recordings.

use std::time::Duration;

use browserd_api::ReplayId;
use browserd_fleet::LiveSession;
use browserd_protocol::replay::{Ended, Order, ROUTES, Started};
use bytes::Bytes;
use futures_util::Stream;

use crate::relay::{Call, CallError, Guests};

/// How long an answer may take; below the 60 s after which the official SDKs give up.
const WITHIN: Duration = Duration::from_secs(40);
/// How long the end of a recording is waited for before it is asked for again.
const END_WITHIN: Duration = Duration::from_secs(600);

/// Begins with a recording; answers once it is under way.
pub(super) async fn start(
    guests: &Guests,
    session: &LiveSession,
    order: &Order,
) -> Result<Started, CallError> {
    let call = Call::post(ROUTES, WITHIN).json(order);
    guests.call(session, call).await?.json()
}

/// Stops a recording; fine when it has ended.
pub(super) async fn stop(
    guests: &Guests,
    session: &LiveSession,
    id: &ReplayId,
) -> Result<(), CallError> {
    let call = Call::post(&format!("{ROUTES}/{id}/stop"), WITHIN);
    guests.call(session, call).await.map(|_| ())
}

/// Waits until a recording has ended, for as long as it goes on.
pub(super) async fn end(
    guests: &Guests,
    session: &LiveSession,
    id: &ReplayId,
) -> Result<Ended, CallError> {
    let path = format!("{ROUTES}/{id}/end");
    loop {
        match guests.call(session, Call::get(&path, END_WITHIN)).await {
            // It goes on.
            Err(CallError::Late(_)) => {}
            answered => return answered?.json(),
        }
    }
}

/// The file of a recording, as it comes.
pub(super) async fn file(
    guests: &Guests,
    session: &LiveSession,
    id: &ReplayId,
) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + use<>, CallError> {
    let call = Call::get(&format!("{ROUTES}/{id}/file"), WITHIN);
    guests.fetch(session, call).await
}

/// Drops a recording and its file. One that stays goes with its session.
pub(super) async fn delete(guests: &Guests, session: &LiveSession, id: &ReplayId) {
    let call = Call::delete(&format!("{ROUTES}/{id}"), WITHIN);
    if let Err(error) = guests.call(session, call).await {
        tracing::debug!(session = %session.id(), replay = %id, %error, "a recording stays in its session");
    }
}
