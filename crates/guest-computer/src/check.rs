//! Checking what requests ask for, with every field that is wrong named.

use std::ops::RangeInclusive;
use std::time::Duration;

use browserd_api::{ApiError, ErrorDetail};
use browserd_rest::{Error, Result};
use xkeysym::Keysym;

use super::keys;
use super::point::{Point, Size};

/// Keys held during an action at most.
const HELD_LIMIT: usize = 16;

/// What is wrong with a request, so far.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<ErrorDetail>);

impl Problems {
    pub(super) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(ErrorDetail { code: field.into(), message: message.into() });
    }

    /// `value`, or the nearest of `range`, and a problem where it is outside.
    pub(super) fn within<T: Copy + PartialOrd + std::fmt::Display>(
        &mut self,
        field: &str,
        value: T,
        range: RangeInclusive<T>,
    ) -> T {
        if range.contains(&value) {
            return value;
        }
        let message = format!("must be from {} to {}, not {value}", range.start(), range.end());
        self.add(field, message);
        *range.start()
    }

    /// A time in milliseconds.
    pub(super) fn millis(
        &mut self,
        field: &str,
        value: u32,
        range: RangeInclusive<u32>,
    ) -> Duration {
        Duration::from_millis(self.within(field, value, range).into())
    }

    /// A point that may be on a screen; whether it is on this one, [`Problems::on_screen`] says.
    pub(super) fn point(&mut self, x: i32, y: i32) -> Point {
        for (field, value) in [("x", x), ("y", y)] {
            if value < 0 {
                self.add(field, format!("must be 0 or more, not {value}"));
            }
        }
        Point { x: x.max(0), y: y.max(0) }
    }

    /// The keys of `hold_keys`.
    pub(super) fn held(&mut self, names: Option<Vec<String>>) -> Vec<Keysym> {
        let names = names.unwrap_or_default();
        if names.len() > HELD_LIMIT {
            self.add("hold_keys", format!("holds {HELD_LIMIT} keys at most"));
            return Vec::new();
        }
        let mut all = Vec::new();
        for (index, name) in names.iter().enumerate() {
            match keys::combination(name) {
                Ok(keys) => all.extend(keys),
                Err(message) => self.add(format!("hold_keys[{index}]"), message),
            }
        }
        all
    }

    /// `plan`, if there are no problems.
    pub(super) fn or<T>(self, plan: T) -> std::result::Result<T, Self> {
        if self.0.is_empty() { Ok(plan) } else { Err(self) }
    }

    /// The same problems as part `prefix` of a larger request, `place` in words.
    pub(super) fn below(self, prefix: &str, place: &str) -> Vec<ErrorDetail> {
        let of = |detail: ErrorDetail| ErrorDetail {
            code: format!("{prefix}{}", detail.code),
            message: format!("{place}: {}: {}", detail.code, detail.message),
        };
        self.0.into_iter().map(of).collect()
    }

    /// The refusal that names them.
    pub(super) fn refusal(self) -> Error {
        ApiError::fields(self.0).into()
    }

    /// Refuses if there are any.
    pub(super) fn refuse(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(self.refusal()) }
    }

    /// A problem unless `point` is on the screen.
    pub(super) fn on_screen(&mut self, x: &str, y: &str, point: Point, screen: Size) {
        for (field, value, side) in [(x, point.x, screen.width), (y, point.y, screen.height)] {
            if value >= side {
                let message = format!(
                    "{value} is outside the screen of {}x{}; must be from 0 to {}",
                    screen.width,
                    screen.height,
                    side - 1
                );
                self.add(field, message);
            }
        }
    }
}
