//! Mouse, keyboard, screen and clipboard of a session: the wire types of
//! `/browsers/{id_or_name}/computer`.

use std::fmt;

use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// A number of pixels or notches, rounded to the next whole one: models that look at scaled pictures send
/// fractions.
struct Whole(i32);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Whole;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a number from -2147483648 to 2147483647")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Whole, E> {
                let wrong = |_| E::invalid_value(Unexpected::Signed(value), &self);
                i32::try_from(value).map(Whole).map_err(wrong)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Whole, E> {
                let wrong = |_| E::invalid_value(Unexpected::Unsigned(value), &self);
                i32::try_from(value).map(Whole).map_err(wrong)
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Whole, E> {
                let rounded = value.round();
                if (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&rounded) {
                    // In range, and whole: nothing is lost.
                    return Ok(Whole(rounded as i32));
                }
                Err(E::invalid_value(Unexpected::Float(value), &self))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

fn pixels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(number)| number)
}

fn notches<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    Ok(Option::<Whole>::deserialize(deserializer)?.map(|Whole(number)| number))
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<[i32; 2]>, D::Error> {
    let points = Vec::<[Whole; 2]>::deserialize(deserializer)?;
    Ok(points.into_iter().map(|point| point.map(|Whole(number)| number)).collect())
}

/// A button of the mouse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MouseButton {
    /// The main one.
    #[default]
    Left,
    /// The one that opens menus.
    Right,
    /// The wheel, pressed.
    Middle,
    /// Goes back in the history.
    Back,
    /// Goes forward in the history.
    Forward,
}

/// A button that can drag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DragButton {
    /// The main one.
    #[default]
    Left,
    /// The wheel, pressed.
    Middle,
    /// The one that opens menus.
    Right,
}

/// What a click does with the button.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClickType {
    /// Presses and releases it.
    #[default]
    Click,
    /// Presses it; it stays down until an `up`.
    Down,
    /// Releases it.
    Up,
}

/// A click.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ClickMouseRequest {
    /// Pixels from the left edge of the screen.
    #[schema(minimum = 0)]
    #[serde(deserialize_with = "pixels")]
    pub x: i32,
    /// Pixels from its upper edge.
    #[schema(minimum = 0)]
    #[serde(deserialize_with = "pixels")]
    pub y: i32,
    /// Which button. Default: left.
    #[serde(default)]
    pub button: Option<MouseButton>,
    /// What is done with it. Default: click.
    #[serde(default)]
    pub click_type: Option<ClickType>,
    /// How often: 2 is a double click. Default 1.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    pub num_clicks: Option<u32>,
    /// Keys that are down meanwhile, by the names `press_key` takes.
    #[serde(default)]
    #[schema(max_items = 16)]
    pub hold_keys: Option<Vec<String>>,
}

/// A move of the mouse.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct MoveMouseRequest {
    /// Pixels from the left edge of the screen.
    #[schema(minimum = 0)]
    #[serde(deserialize_with = "pixels")]
    pub x: i32,
    /// Pixels from its upper edge.
    #[schema(minimum = 0)]
    #[serde(deserialize_with = "pixels")]
    pub y: i32,
    /// Move along a curve, as a hand does, instead of at once. Default true.
    #[serde(default)]
    pub smooth: Option<bool>,
    /// Milliseconds the move takes; needs `smooth`. Default: what the distance calls for.
    #[serde(default)]
    #[schema(minimum = 50, maximum = 5000)]
    pub duration_ms: Option<u32>,
    /// Keys that are down meanwhile, by the names `press_key` takes.
    #[serde(default)]
    #[schema(max_items = 16)]
    pub hold_keys: Option<Vec<String>>,
}

/// A drag: the button goes down at the first point and up at the last.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct DragMouseRequest {
    /// Points `[x, y]` in pixels, at least two.
    #[schema(min_items = 2, max_items = 1000)]
    #[serde(deserialize_with = "path")]
    pub path: Vec<[i32; 2]>,
    /// Which button. Default: left.
    #[serde(default)]
    pub button: Option<DragButton>,
    /// Milliseconds between the press and the first move. Default 0.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 30_000)]
    pub delay: Option<u32>,
    /// Moves from one point to the next, without `smooth`. Default 10.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000)]
    pub steps_per_segment: Option<u32>,
    /// Milliseconds between moves, without `smooth`. Default 50.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10_000)]
    pub step_delay_ms: Option<u32>,
    /// Move along curves through the points, as a hand does. `steps_per_segment` and `step_delay_ms`
    /// have no meaning then. Default true.
    #[serde(default)]
    pub smooth: Option<bool>,
    /// Milliseconds the whole drag takes; needs `smooth`. Default: what its length calls for.
    #[serde(default)]
    #[schema(minimum = 50, maximum = 10_000)]
    pub duration_ms: Option<u32>,
    /// Keys that are down meanwhile, by the names `press_key` takes.
    #[serde(default)]
    #[schema(max_items = 16)]
    pub hold_keys: Option<Vec<String>>,
}

/// A turn of the wheel.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ScrollRequest {
    /// Pixels from the left edge of the screen.
    #[schema(minimum = 0)]
    #[serde(deserialize_with = "pixels")]
    pub x: i32,
    /// Pixels from its upper edge.
    #[schema(minimum = 0)]
    #[serde(deserialize_with = "pixels")]
    pub y: i32,
    /// Notches of the wheel to the right; negative: to the left. Default 0.
    #[serde(default, deserialize_with = "notches")]
    #[schema(minimum = -1000, maximum = 1000)]
    pub delta_x: Option<i32>,
    /// Notches of the wheel down; negative: up. Default 0.
    #[serde(default, deserialize_with = "notches")]
    #[schema(minimum = -1000, maximum = 1000)]
    pub delta_y: Option<i32>,
    /// Keys that are down meanwhile, by the names `press_key` takes.
    #[serde(default)]
    #[schema(max_items = 16)]
    pub hold_keys: Option<Vec<String>>,
}

/// Text to type into whatever has the keyboard focus.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct TypeTextRequest {
    /// The text, in any script. A line break is the Return key, a tab the Tab key.
    #[schema(max_length = 100_000)]
    pub text: String,
    /// Milliseconds between characters; with `smooth`, on average. Default 0.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 5000)]
    pub delay: Option<u32>,
    /// Type with the rhythm of a person. Default: false, or true with a `typo_chance` (extension).
    #[serde(default)]
    pub smooth: Option<bool>,
    /// Share of characters mistyped and corrected at once; needs `smooth`. Default 0 (extension).
    #[serde(default)]
    #[schema(minimum = 0.0, maximum = 0.1)]
    pub typo_chance: Option<f64>,
}

/// Keys to press.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct PressKeyRequest {
    /// Names of keys as X11 has them (`Return`, `F5`, `é`), or combinations (`Ctrl+Shift+Tab`), one
    /// after another.
    #[schema(min_items = 1, max_items = 64)]
    pub keys: Vec<String>,
    /// Milliseconds all keys are held together; 0: each is tapped. Default 0.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 60_000)]
    pub duration: Option<u32>,
    /// Keys that are down meanwhile.
    #[serde(default)]
    #[schema(max_items = 16)]
    pub hold_keys: Option<Vec<String>>,
}

/// Whether the mouse pointer shows.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
pub struct SetCursorRequest {
    /// Hide it.
    pub hidden: bool,
}

/// A pause in a batch.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
pub struct SleepAction {
    /// Milliseconds.
    #[schema(minimum = 0, maximum = 30_000)]
    pub duration_ms: u32,
}

/// Which field of an action holds its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActionType {
    /// `click_mouse`.
    ClickMouse,
    /// `move_mouse`.
    MoveMouse,
    /// `type_text`.
    TypeText,
    /// `press_key`.
    PressKey,
    /// `scroll`.
    Scroll,
    /// `drag_mouse`.
    DragMouse,
    /// `set_cursor`.
    SetCursor,
    /// `sleep`.
    Sleep,
}

impl ActionType {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClickMouse => "click_mouse",
            Self::MoveMouse => "move_mouse",
            Self::TypeText => "type_text",
            Self::PressKey => "press_key",
            Self::Scroll => "scroll",
            Self::DragMouse => "drag_mouse",
            Self::SetCursor => "set_cursor",
            Self::Sleep => "sleep",
        }
    }
}

/// One action of a batch: its type, and the field of that name.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ComputerAction {
    /// Which action.
    #[serde(rename = "type")]
    pub kind: ActionType,
    /// A click.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click_mouse: Option<ClickMouseRequest>,
    /// A move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub move_mouse: Option<MoveMouseRequest>,
    /// Text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_text: Option<TypeTextRequest>,
    /// Keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub press_key: Option<PressKeyRequest>,
    /// A turn of the wheel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scroll: Option<ScrollRequest>,
    /// A drag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drag_mouse: Option<DragMouseRequest>,
    /// The pointer's visibility.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_cursor: Option<SetCursorRequest>,
    /// A pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep: Option<SleepAction>,
}

/// Actions to do in order, with nothing of others between them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct BatchRequest {
    /// The actions.
    #[schema(min_items = 1, max_items = 100)]
    pub actions: Vec<ComputerAction>,
}

/// A part of the screen, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScreenshotRegion {
    /// Left edge.
    #[schema(minimum = 0)]
    #[serde(deserialize_with = "pixels")]
    pub x: i32,
    /// Upper edge.
    #[schema(minimum = 0)]
    #[serde(deserialize_with = "pixels")]
    pub y: i32,
    /// Width.
    #[schema(minimum = 1)]
    #[serde(deserialize_with = "pixels")]
    pub width: i32,
    /// Height.
    #[schema(minimum = 1)]
    #[serde(deserialize_with = "pixels")]
    pub height: i32,
}

/// How a picture is encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScreenshotFormat {
    /// Without loss.
    #[default]
    Png,
    /// Smaller, with loss.
    Jpeg,
}

/// Which picture to take.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct ScreenshotRequest {
    /// The part of the screen. Default: all of it.
    #[serde(default)]
    pub region: Option<ScreenshotRegion>,
    /// Default: png (extension).
    #[serde(default)]
    pub format: Option<ScreenshotFormat>,
    /// Quality of a jpeg, percent. Default 80 (extension).
    #[serde(default)]
    #[schema(minimum = 1, maximum = 100)]
    pub quality: Option<u32>,
    /// Size of the picture as a share of the region's. Default 1 (extension).
    #[serde(default)]
    #[schema(minimum = 0.05, maximum = 1.0)]
    pub scale: Option<f64>,
}

/// Where the mouse is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MousePosition {
    /// Pixels from the left edge of the screen.
    pub x: i32,
    /// Pixels from its upper edge.
    pub y: i32,
}

/// What the clipboard holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClipboardContent {
    /// Its text; empty when it holds none.
    pub text: String,
}

/// Text for the clipboard.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct WriteClipboardRequest {
    /// The text, at most 1 MiB of UTF-8.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fractions_are_rounded() {
        let click = |x: serde_json::Value| {
            serde_json::from_value::<ClickMouseRequest>(json!({ "x": x, "y": 7 })).map(|c| c.x)
        };
        for (given, whole) in [(json!(3), 3), (json!(3.4), 3), (json!(3.5), 4), (json!(-0.4), 0)] {
            assert_eq!(click(given).unwrap(), whole);
        }
        for odd in [json!("3"), json!(null), json!(1e300), json!(1u64 << 40), json!(true)] {
            assert!(click(odd.clone()).is_err(), "{odd}");
        }
        let drag = json!({ "path": [[0.6, 1], [2, 3.4]] });
        assert_eq!(
            serde_json::from_value::<DragMouseRequest>(drag).unwrap().path,
            [[1, 1], [2, 3]]
        );
        let scroll = json!({ "x": 1.2, "y": 2, "delta_y": -2.6, "delta_x": null });
        let scroll: ScrollRequest = serde_json::from_value(scroll).unwrap();
        assert_eq!((scroll.x, scroll.delta_x, scroll.delta_y), (1, None, Some(-3)));
        let region = json!({ "x": 0.4, "y": 0, "width": 10.5, "height": 1 });
        let region: ScreenshotRegion = serde_json::from_value(region).unwrap();
        assert_eq!((region.x, region.width), (0, 11));
    }
}
