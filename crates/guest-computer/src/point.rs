//! Places on the screen.

use browserd_api::computer::{DragButton, MouseButton};

/// A pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) x: i32,
    pub(super) y: i32,
}

/// The screen's size, pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: i32,
    pub(super) height: i32,
}

/// A part of the screen, inside it and not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

impl Point {
    /// The nearest pixel of a screen.
    pub(super) fn inside(self, screen: Size) -> Self {
        Self {
            x: self.x.clamp(0, (screen.width - 1).max(0)),
            y: self.y.clamp(0, (screen.height - 1).max(0)),
        }
    }

    pub(super) fn distance(self, other: Self) -> f64 {
        f64::from(self.x - other.x).hypot(f64::from(self.y - other.y))
    }
}

impl Size {
    #[cfg(test)]
    pub(super) fn contains(self, point: Point) -> bool {
        (0..self.width).contains(&point.x) && (0..self.height).contains(&point.y)
    }
}

/// The button a drag names.
pub(super) fn drag_button(button: DragButton) -> MouseButton {
    match button {
        DragButton::Left => MouseButton::Left,
        DragButton::Middle => MouseButton::Middle,
        DragButton::Right => MouseButton::Right,
    }
}
