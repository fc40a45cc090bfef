//! A headful session's browser in kiosk mode: the page fills the screen, without an interface.

use crate::support::{run, screen};

pub(crate) fn the_page_fills_the_screen() {
    run(screen::fills_the_screen(true));
}
