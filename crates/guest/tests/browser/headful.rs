//! A headful session's browser: its window fills the screen of its own X server.

use crate::support::{run, screen};

pub(crate) fn the_window_fills_the_screen() {
    run(screen::fills_the_screen(false));
}
