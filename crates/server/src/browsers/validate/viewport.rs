//! The size of the window.

use browserd_api::browser::Viewport;
use browserd_fleet::Resize;
use serde_json::Value;

use crate::fields::{Faults, Object};

/// Reads `viewport`; a refresh rate left out follows from the size.
pub(super) fn read(
    value: &Value,
    takes_force: bool,
    faults: &mut Faults,
    unknown: &mut Vec<String>,
) -> Option<Resize> {
    let mut object = Object::read("viewport", value, faults)?;
    let before = faults.len();
    for field in ["width", "height"] {
        if value.get(field).is_none_or(Value::is_null) {
            faults.add(object.path(field), "is required");
        }
    }
    let width = object.number("width", 320, 7680, faults);
    let height = object.number("height", 240, 4320, faults);
    let refresh_rate = object.number("refresh_rate", 1, 60, faults);
    let force = takes_force.then(|| object.bool("force", faults)).flatten().unwrap_or(false);
    unknown.extend(object.unknown());
    if faults.len() > before {
        return None;
    }
    let (width, height) = (width?, height?);
    let refresh_rate = Some(refresh_rate.unwrap_or_else(|| rate(width, height)));
    Some(Resize { viewport: Viewport { width, height, refresh_rate }, force })
}

/// Frames a second that fit a size: the more pixels, the fewer.
fn rate(width: u32, height: u32) -> u32 {
    match u64::from(width) * u64::from(height) {
        ..1_296_000 => 60,
        1_296_000..3_686_400 => 25,
        _ => 10,
    }
}
