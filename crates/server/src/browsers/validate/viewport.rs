//! The size of the window.

use browserd_api::browser::Viewport;
use browserd_fleet::Resize;
use utoipa::ToSchema;

use crate::fields::{Body, Fields};

/// A window size, pixels.
#[derive(Debug, ToSchema)]
pub(crate) struct UpdateViewport {
    /// 320 to 7680.
    #[schema(minimum = 320, maximum = 7680)]
    width: u32,
    /// 240 to 4320.
    #[schema(minimum = 240, maximum = 4320)]
    height: u32,
    /// As in a creation.
    #[schema(minimum = 1, maximum = 60)]
    refresh_rate: Option<u32>,
    /// Also while the screen is being recorded, which is 409 `being_recorded` otherwise. Recordings
    /// keep the size they began with; the new one is fitted into it. Default false.
    force: Option<bool>,
}

/// A refresh rate left out follows from the size.
impl Body for Viewport {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        fields.require("width", "is required");
        fields.require("height", "is required");
        let width = fields.number("width", 320..=7680);
        let height = fields.number("height", 240..=4320);
        let refresh_rate = fields.number("refresh_rate", 1..=60);
        let (width, height) = (width?, height?);
        let refresh_rate = refresh_rate.or_else(|| Some(rate(width, height)));
        Some(Self { width, height, refresh_rate })
    }
}

impl Body for UpdateViewport {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let viewport = Viewport::read(fields);
        let force = fields.flag("force");
        let Viewport { width, height, refresh_rate } = viewport?;
        Some(Self { width, height, refresh_rate, force })
    }
}

impl From<UpdateViewport> for Resize {
    fn from(asked: UpdateViewport) -> Self {
        let UpdateViewport { width, height, refresh_rate, force } = asked;
        let viewport = Viewport { width, height, refresh_rate };
        Self { viewport, force: force.unwrap_or(false) }
    }
}

/// Frames a second that fit a size: the more pixels, the fewer.
fn rate(width: u32, height: u32) -> u32 {
    match u64::from(width) * u64::from(height) {
        ..1_296_000 => 60,
        1_296_000..3_686_400 => 25,
        _ => 10,
    }
}
