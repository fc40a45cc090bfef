//! Answering before the client stops waiting.
//!
//! The official SDKs say how long they wait for an answer. One that did not wait long enough learns nothing,
//! and sends the request again; so it is answered just before, with what to do about it.

use std::time::Duration;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use browserd_api::ErrorCode;
use browserd_rest::{Error, refusals};
use http::{HeaderMap, header};
use tokio::time::{Instant, sleep_until};

use super::linger::Whole;

refusals! {
    /// Answering before the client stops waiting.
    pub(crate) MeetDeadline: Timeout;
}

/// Headers that say how many seconds the client waits, once its request is sent: of the Python SDK, and of
/// the one for Node.
const ANNOUNCED: [&str; 2] = ["x-stainless-read-timeout", "x-stainless-timeout"];
/// Longer than this is as good as for ever.
const LONGEST: f64 = 7.0 * 24.0 * 3600.0;
/// How long before the client's end it is answered at most; a quarter of the whole where that is less.
const MARGIN: Duration = Duration::from_secs(1);

/// Answers 408 when a handler has not answered by then. It is dropped, as when a client hangs up.
pub(crate) async fn meet(request: Request, next: Next) -> Response {
    let announced = announced(request.headers());
    let upgrade = request.headers().contains_key(header::UPGRADE);
    let whole = request.extensions().get::<Whole>().cloned();
    let (Some((name, waits)), Some(whole), false) = (announced, whole, upgrade) else {
        return next.run(request).await;
    };
    let within = waits - MARGIN.min(waits / 4);
    let mut due = Instant::now() + within;
    let mut answer = std::pin::pin!(next.run(request));
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = sleep_until(due) => {}
        }
        // The client waits from when it has sent everything.
        let now = Instant::now();
        due = whole.since().map_or(now, Instant::from_std) + within;
        if due <= now {
            return late(name, waits).into_response();
        }
    }
}

fn late(name: &str, waits: Duration) -> Error {
    Error::new(
        ErrorCode::Timeout,
        format!(
            "no answer within the {} s that this client waits ({name}); what was asked for may have been \
             done, or broken off: look before sending it again, and give the client a longer timeout, or \
             the call a shorter one (timeout_sec) or none to wait for (process/spawn)",
            waits.as_secs_f64()
        ),
    )
}

/// How long the client waits, and which header says so. One that makes no sense is no announcement.
fn announced(headers: &HeaderMap) -> Option<(&'static str, Duration)> {
    ANNOUNCED.into_iter().find_map(|name| {
        let seconds: f64 = headers.get(name)?.to_str().ok()?.trim().parse().ok()?;
        let sensible = seconds > 0.0 && seconds <= LONGEST;
        sensible.then(|| (name, Duration::from_secs_f64(seconds)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_no_announcement() {
        let said = |name: &'static str, value: &str| {
            announced(&HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]))
        };
        for name in ANNOUNCED {
            assert_eq!(said(name, "60.5"), Some((name, Duration::from_millis(60_500))));
            for nonsense in ["", "None", "0", "-1", "nan", "inf", "1e300", "60 s"] {
                assert_eq!(said(name, nonsense), None, "{nonsense:?}");
            }
        }
        assert_eq!(said("x-timeout", "60"), None);
    }
}
