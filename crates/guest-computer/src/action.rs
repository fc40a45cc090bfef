//! An action that has been checked, whichever it is.

use std::time::Duration;

use super::check::Problems;
use super::click_mouse::Click;
use super::device::{Device, Result};
use super::drag_mouse::Drag;
use super::hand::Hand;
use super::move_mouse::Move;
use super::point::Size;
use super::press_key::Press;
use super::scroll::Scroll;
use super::type_text::Text;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Action {
    Click(Click),
    Move(Move),
    Type(Text),
    Press(Press),
    Scroll(Scroll),
    Drag(Drag),
    Cursor(bool),
    Sleep(Duration),
}

impl Action {
    /// What is wrong with it on this screen.
    pub(super) fn check(&self, screen: Size, device: &Device) -> std::result::Result<(), Problems> {
        let mut problems = Problems::default();
        let (point, held) = match self {
            Self::Click(click) => (Some(click.at), &click.held[..]),
            Self::Move(motion) => (Some(motion.to), &motion.held[..]),
            Self::Scroll(scroll) => (Some(scroll.at), &scroll.held[..]),
            Self::Drag(drag) => (None, &drag.held[..]),
            Self::Press(press) => (None, &press.held[..]),
            Self::Type(_) | Self::Cursor(_) | Self::Sleep(_) => (None, &[][..]),
        };
        if let Some(point) = point {
            problems.on_screen("x", "y", point, screen);
        }
        if let Self::Drag(drag) = self {
            for (index, point) in drag.path.iter().enumerate() {
                let field = |side| format!("path[{index}][{side}]");
                problems.on_screen(&field(0), &field(1), *point, screen);
            }
        }
        let pressed = match self {
            Self::Press(press) => press.keys.concat(),
            _ => Vec::new(),
        };
        for (field, keys) in [("hold_keys", held), ("keys", &pressed)] {
            for key in keys.iter().filter(|key| !device.knows(**key)) {
                let name = key.name().unwrap_or("?").replacen("XK_", "", 1);
                problems.add(field, format!("{name} is no key of web pages, which is all a headless session has; create the session with headless: false for it"));
            }
        }
        problems.or(())
    }

    /// Does it, and waits until the browser has dealt with it.
    pub(super) async fn perform(&self, hand: &mut Hand, screen: Size) -> Result<()> {
        self.give(hand, screen).await?;
        if !matches!(self, Self::Cursor(_) | Self::Sleep(_)) {
            hand.device.settle().await;
        }
        Ok(())
    }

    async fn give(&self, hand: &mut Hand, screen: Size) -> Result<()> {
        match self {
            Self::Click(click) => click.perform(hand).await,
            Self::Move(motion) => motion.perform(hand, screen).await,
            Self::Type(text) => text.perform(hand).await,
            Self::Press(press) => press.perform(hand).await,
            Self::Scroll(scroll) => scroll.perform(hand).await,
            Self::Drag(drag) => drag.perform(hand, screen).await,
            Self::Cursor(hidden) => hand.device.hide_cursor(*hidden).await,
            Self::Sleep(time) => {
                tokio::time::sleep(*time).await;
                Ok(())
            }
        }
    }
}

impl super::Computer {
    /// Checks and does one action in its turn.
    pub(super) async fn act(&self, action: Action) -> browserd_rest::Result<()> {
        self.turn(|hand| {
            Box::pin(async move {
                let screen = hand.device.size().await.map_err(|error| error.before())?;
                action.check(screen, &hand.device).map_err(Problems::refusal)?;
                action.perform(hand, screen).await.map_err(|error| error.during())
            })
        })
        .await
    }
}
