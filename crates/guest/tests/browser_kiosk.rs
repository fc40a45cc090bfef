//! A headful session's browser in kiosk mode: the page fills the screen, without an interface.

mod browser_support;

use browser_support::{run, screen};

#[test]
fn the_page_fills_the_screen() {
    run(screen::fills_the_screen(true));
}
