//! A headful session's browser: its window fills the screen of its own X server.

mod browser_support;

use browser_support::{run, screen};

#[test]
fn the_window_fills_the_screen() {
    run(screen::fills_the_screen(false));
}
