//! Pictures of the page in front.

use std::time::Duration;

use browserd_api::computer::ScreenshotFormat;
use browserd_chromium::cdp::Event;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::front::{Front, Patience};
use super::{Failure, Pages, Result, viewport};
use crate::encoding::Encoding;
use crate::point::Region;

/// How long a picture may still take at first when the page has become another.
const GRACE: Duration = Duration::from_millis(400);
/// How many times as long where it has not.
const QUIET_GRACES: u32 = 10;

#[derive(Deserialize)]
struct Captured {
    data: String,
}

impl Pages {
    /// What a part of the viewport shows, all of it without `region`; answers it encoded, as text in
    /// base64.
    pub(crate) async fn picture(
        &mut self,
        region: Option<Region>,
        encoding: Encoding,
    ) -> Result<String> {
        let mut patience = Patience::new();
        let mut grace = GRACE;
        loop {
            match self.try_picture(region, encoding, grace).await {
                Err(error) if patience.again(&error).await => {
                    self.front.let_go().await;
                    // A machine that is slow takes its time for a picture too.
                    grace *= 2;
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_picture(
        &mut self,
        region: Option<Region>,
        encoding: Encoding,
        grace: Duration,
    ) -> Result<String> {
        let front = self.front().await?;
        let mut params = match encoding.format {
            ScreenshotFormat::Png => json!({ "format": "png", "optimizeForSpeed": true }),
            ScreenshotFormat::Jpeg => json!({ "format": "jpeg", "quality": encoding.quality }),
        };
        let Some(region) = region else { return self.whole(&front, &params, grace).await };
        // What is cut out is given in the document's coordinates.
        let metrics: Value =
            front.cdp.call(Some(&front.session), "Page.getLayoutMetrics", json!({})).await?;
        let offset = |name: &str| metrics["cssVisualViewport"][name].as_f64();
        let at = offset("pageX").zip(offset("pageY"));
        let (left, top) = at.ok_or(Failure::Odd("no layout metrics"))?;
        params["clip"] = json!({
            "x": left + f64::from(region.x),
            "y": top + f64::from(region.y),
            "width": region.width,
            "height": region.height,
            "scale": encoding.scale,
        });
        capture(&front, &params, grace).await
    }

    /// All of it, once more where it turns out to have had another size than the screen.
    async fn whole(&mut self, front: &Front, params: &Value, grace: Duration) -> Result<String> {
        // Beside the picture, which takes much longer, and not awaited: a page that shows a dialog does not say.
        let page = front.clone();
        let size = AbortOnDropHandle::new(tokio::spawn(async move { viewport(&page).await }));
        let picture = capture(front, params, grace).await?;
        if size.is_finished()
            && let Ok(Ok(size)) = size.await
            && size != self.wanted()
            && self.front.browser.fit(&front.cdp, &front.target).await?
        {
            return capture(front, params, grace).await;
        }
        Ok(picture)
    }
}

/// A picture, or the failure that another attempt is due: of a page that becomes another meanwhile Chromium
/// may never answer. `grace` is how long it still may after it has told of a change.
async fn capture(front: &Front, params: &Value, grace: Duration) -> Result<String> {
    let mut events = front.cdp.events();
    let picture =
        front.cdp.call::<_, Captured>(Some(&front.session), "Page.captureScreenshot", params);
    tokio::pin!(picture);
    let mut until = Instant::now() + grace * QUIET_GRACES;
    let mut changed = false;
    loop {
        tokio::select! {
            captured = &mut picture => return Ok(captured?.data),
            event = events.recv(), if !changed => {
                changed = event.map_or(true, |event| is_change_of(&event, &front.target));
                if changed {
                    until = Instant::now() + grace;
                }
            }
            () = tokio::time::sleep_until(until) => {
                return Err(Failure::Odd("no picture; the page kept becoming another"));
            }
        }
    }
}

/// Whether a page shows something else now, or is gone. Sessions that follow pages have Chromium tell.
fn is_change_of(event: &Event, target: &str) -> bool {
    ["Target.targetInfoChanged", "Target.targetDestroyed"].contains(&event.method.as_str())
        && event.params.as_ref().is_some_and(|params| params.get().contains(target))
}
