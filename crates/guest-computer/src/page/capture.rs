//! Pictures of the page in front.

use browserd_api::computer::ScreenshotFormat;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, Pages, Result};
use crate::encoding::Encoding;
use crate::point::Region;

impl Pages {
    /// What a part of the viewport shows, all of it without `region`; answers it encoded, as text in
    /// base64.
    pub(crate) async fn picture(
        &mut self,
        region: Option<Region>,
        encoding: Encoding,
    ) -> Result<String> {
        #[derive(Deserialize)]
        struct Captured {
            data: String,
        }
        let front = self.front().await?;
        let mut params = match encoding.format {
            ScreenshotFormat::Png => json!({ "format": "png", "optimizeForSpeed": true }),
            ScreenshotFormat::Jpeg => json!({ "format": "jpeg", "quality": encoding.quality }),
        };
        if let Some(region) = region {
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
        }
        let captured: Captured =
            front.cdp.call(Some(&front.session), "Page.captureScreenshot", params).await?;
        Ok(captured.data)
    }
}
