//! Looking at the page in front of a headless browser, across its restarts.

use std::sync::Arc;
use std::time::Duration;

use base64_simd::STANDARD;
use browserd_chromium::cdp::{Cdp, CdpError, Event, SessionId};
use browserd_guest_browser::{Browser, OpenOrder};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::frame::{Frame, PIXEL_LIMIT};
use super::next_browser;
use super::pacing::{Due, Pacing};
use super::page_events::Pages;
use super::slot::Slot;

/// Quality of the pictures Chromium sends, percent.
const QUALITY: u32 = 90;
/// How long to leave a browser alone that refused to be looked at.
const REST: Duration = Duration::from_secs(1);
/// Longest side of a picture, pixels.
const SIDE_LIMIT: usize = 16_384;

/// Shows the page in front in `slot` until there is no viewer any more.
pub(super) async fn follow(browser: Browser, slot: Arc<Slot>, unwatched: CancellationToken) {
    let mut generation = 0;
    while let Some(running) = next_browser(&browser, generation, &unwatched).await {
        generation = running.generation;
        let mut resizes = browser.desired_state().resizes();
        let open_order = browser.open_order();
        while let Err(error) =
            watch(&running.cdp, open_order.clone(), &mut resizes, &slot, &unwatched).await
        {
            tracing::info!(%error, "screen capture lost the page in front and tries again");
            tokio::select! {
                () = running.cdp.closed() => break,
                () = unwatched.cancelled() => return,
                () = tokio::time::sleep(REST) => {}
            }
        }
        if unwatched.is_cancelled() {
            return;
        }
    }
}

/// Captures until there is no viewer any more; an error when the browser refuses or goes away.
async fn watch(
    cdp: &Cdp,
    open_order: Option<OpenOrder>,
    resizes: &mut watch::Receiver<()>,
    slot: &Slot,
    unwatched: &CancellationToken,
) -> Result<(), CdpError> {
    let mut events = cdp.events();
    let mut view = View { cdp, shown: None, pacing: Pacing::default(), newest: 0.0 };
    let mut pages = Pages::discover(cdp, open_order).await?;
    let mut choose = true;
    let outcome = loop {
        // To choose brings events of its own, as many as there are pages: one choice for all that is
        // known to have happened, or the next would be due before these are read, for ever.
        if choose && events.is_empty() {
            choose = false;
            if let Err(error) = view.turn_to_front(&mut pages).await {
                break Err(error);
            }
        }
        let period = slot.period();
        let due = async {
            match view.pacing.next(period) {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            event = events.recv() => match event {
                Ok(event) => {
                    choose |= pages.heed(&event);
                    choose |= view.heed(&event, slot).await;
                }
                // Pictures may be among what was missed, and they are owed an acknowledgement.
                Err(RecvError::Lagged(_)) => {
                    view.turn_away().await;
                    choose = true;
                }
                Err(RecvError::Closed) => break Ok(()),
            },
            () = due => {
                let now = Instant::now();
                let done = match view.pacing.due(now, period) {
                    Some(Due::Acknowledge(picture)) => view.acknowledge(picture).await,
                    Some(Due::Settle) => view.look_again().await,
                    None => Ok(()),
                };
                // The page may have just closed, which an event will tell.
                if let Err(error) = done {
                    tracing::debug!(%error, "the page in front");
                }
            }
            Ok(()) = resizes.changed() => view.pacing.resized(Instant::now()),
            () = unwatched.cancelled() => break Ok(()),
            () = cdp.closed() => break Err(CdpError::Closed { method: "Page.startScreencast" }),
        }
    };
    view.turn_away().await;
    pages.forget(cdp).await;
    outcome
}

/// What is looked at.
struct View<'a> {
    cdp: &'a Cdp,
    /// The page's target and the session on it.
    shown: Option<(String, SessionId)>,
    pacing: Pacing,
    /// When the newest picture of this session was taken, seconds since 1970.
    newest: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Picture<'a> {
    #[serde(borrow)]
    pub(super) data: std::borrow::Cow<'a, str>,
    session_id: i64,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
struct Metadata {
    /// When it was taken, seconds since 1970.
    timestamp: Option<f64>,
}

impl View<'_> {
    /// Looks at the page in front, if it is another one than so far.
    async fn turn_to_front(&mut self, pages: &mut Pages) -> Result<(), CdpError> {
        let now = self.shown.as_ref().map(|(target, _)| target.as_str());
        let front = pages.in_front(self.cdp, now).await?;
        if front.as_deref() == now {
            return Ok(());
        }
        self.turn_away().await;
        match front {
            Some(target) => self.look_at(target).await,
            None => Ok(()),
        }
    }

    /// Asks for pictures of a page on a session of its own.
    async fn look_at(&mut self, target: String) -> Result<(), CdpError> {
        match self.cdp.attach(&target).await {
            Ok(session) => self.shown = Some((target, session)),
            // It has closed meanwhile; an event tells, and another one is chosen then.
            Err(CdpError::Refused { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        self.start().await
    }

    /// Asks for pictures from now on, the first one at once.
    async fn start(&mut self) -> Result<(), CdpError> {
        let Some((_, session)) = &self.shown else { return Ok(()) };
        let params = json!({ "format": "jpeg", "quality": QUALITY, "everyNthFrame": 1 });
        (self.pacing, self.newest) = (Pacing::default(), 0.0);
        self.cdp.call_raw(Some(session), "Page.startScreencast", params).await?;
        Ok(())
    }

    /// Asks for a picture of what shows now. On a new session: around a change of size Chromium may have
    /// lost what it takes pictures of, and asking again on the old one brings none.
    async fn look_again(&mut self) -> Result<(), CdpError> {
        let Some((target, _)) = self.shown.clone() else { return Ok(()) };
        self.turn_away().await;
        self.look_at(target).await
    }

    async fn turn_away(&mut self) {
        if let Some((_, session)) = self.shown.take() {
            // The pictures stop with the session.
            let _ = self.cdp.detach(&session).await;
        }
        self.pacing = Pacing::default();
    }

    async fn acknowledge(&self, picture: i64) -> Result<(), CdpError> {
        let Some((_, session)) = &self.shown else { return Ok(()) };
        let params = json!({ "sessionId": picture });
        self.cdp.call_raw(Some(session), "Page.screencastFrameAck", params).await?;
        Ok(())
    }

    /// Shows a picture that came; answers whether another page may be in front now.
    async fn heed(&mut self, event: &Event, slot: &Slot) -> bool {
        let Some((_, session)) = &self.shown else { return false };
        let params = event.params.as_ref().map_or("{}", |params| params.get());
        match event.method.as_str() {
            "Target.detachedFromTarget" if params.contains(session.as_str()) => {
                self.shown = None;
                self.pacing = Pacing::default();
                return true;
            }
            _ if event.session.as_deref() != Some(session.as_str()) => {}
            "Page.screencastVisibilityChanged" => return params.contains("false"),
            "Page.screencastFrame" => {
                let Ok(picture) = serde_json::from_str::<Picture<'_>>(params) else {
                    return false;
                };
                if self.pacing.came(picture.session_id, Instant::now(), slot.period())
                    && let Err(error) = self.acknowledge(picture.session_id).await
                {
                    tracing::debug!(%error, "the page in front");
                }
                // Chromium packs several at once, and sends each when it is ready: one may overtake another.
                let taken = picture.metadata.timestamp.unwrap_or(self.newest);
                if taken < self.newest {
                    return false;
                }
                self.newest = taken;
                let Ok(jpeg) = STANDARD.decode_to_vec(picture.data.as_bytes()) else {
                    return false;
                };
                // A few milliseconds of work; the guest has one thread.
                match tokio::task::spawn_blocking(move || decode(jpeg)).await {
                    Ok(Some(frame)) => slot.show(frame),
                    _ => tracing::warn!(
                        "Chromium sent a screenshot that cannot be decoded; this frame is skipped"
                    ),
                }
            }
            _ => {}
        }
        false
    }
}

pub(super) fn decode(jpeg: Vec<u8>) -> Option<Frame> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::BGRA)
        .set_max_width(SIDE_LIMIT)
        .set_max_height(SIDE_LIMIT);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    decoder.decode_headers().ok()?;
    let (width, height) = decoder.dimensions()?;
    if (width as u64) * (height as u64) > PIXEL_LIMIT {
        return None;
    }
    let pixels = decoder.decode().ok()?;
    let whole = pixels.len() == width * height * 4;
    whole.then_some(Frame { width: width as u32, height: height as u32, pixels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_picture_is_none() {
        for bytes in [&b""[..], b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"GIF89a"] {
            assert!(decode(bytes.to_vec()).is_none());
        }
    }
}
