//! Files a guest leaves to us to send: their bytes do not pass through it then.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use browserd_fleet::{Activity, LiveSession};
use browserd_protocol::FileOffer;
use browserd_rest::file::chunks;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::oneshot;

/// Header of requests and answers.
const HEADER: HeaderName = HeaderName::from_static(FileOffer::HEADER);

/// Tells the guest that it may leave a file to us.
pub(super) fn take(headers: &mut HeaderMap) {
    headers.insert(HEADER, HeaderValue::from_static(FileOffer::TAKE));
}

/// What the guest offers in an answer, if it does.
pub(super) fn offered(status: StatusCode, headers: &HeaderMap) -> Option<FileOffer> {
    let offer = headers.get(HEADER).filter(|_| status.is_success())?;
    offer.to_str().ok()?.parse().ok()
}

/// The body of an offer. The file is closed with the session's end, whatever the client does: nothing
/// of a session is held after it.
///
/// # Errors
///
/// When the guest does not stand by its offer.
pub(super) async fn body(
    session: &LiveSession,
    offer: FileOffer,
    activity: Activity,
) -> io::Result<Body> {
    let file = Arc::new(session.take_file(offer.ticket).await?);
    let open = Arc::downgrade(&file);
    let (mut read, reader) = oneshot::channel::<()>();
    let session = session.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = session.wait_end() => {}
            () = read.closed() => {}
        }
        drop(file);
    });
    let ended = || io::Error::other("the browser session has ended");
    let open = move || open.upgrade().ok_or_else(ended);
    let held = (activity, reader);
    Ok(Body::from_stream(chunks(open, offer.from, offer.to).map(move |chunk| {
        let _ = &held;
        chunk
    })))
}
