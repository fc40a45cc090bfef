//! The mouse: XTEST to drive it, XFIXES to hide it.

use browserd_api::computer::MouseButton;
use x11rb::connection::Connection;
use x11rb::protocol::xfixes::ConnectionExt as _;
use x11rb::protocol::xproto::{
    BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConnectionExt as _, MOTION_NOTIFY_EVENT,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use super::server::Server;
use super::{Display, Result};
use crate::point::{Point, Size};

/// The wheel's buttons.
const UP: u8 = 4;
const DOWN: u8 = 5;
const LEFT: u8 = 6;
const RIGHT: u8 = 7;
/// Milliseconds the server leaves between clicks of one request: Chromium takes two events of the same
/// time for one.
const BETWEEN_CLICKS: u32 = 5;

fn number(button: MouseButton) -> u8 {
    match button {
        MouseButton::Left => 1,
        MouseButton::Middle => 2,
        MouseButton::Right => 3,
        MouseButton::Back => 8,
        MouseButton::Forward => 9,
    }
}

impl Server {
    fn motion(&self, to: Point) -> Result<()> {
        let (x, y) = (to.x.clamp(0, 32_767) as i16, to.y.clamp(0, 32_767) as i16);
        self.connection.xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, self.root, x, y, 0)?;
        Ok(())
    }

    fn button(&self, number: u8, down: bool, after: u32) -> Result<()> {
        let kind = if down { BUTTON_PRESS_EVENT } else { BUTTON_RELEASE_EVENT };
        self.connection.xtest_fake_input(kind, number, after, self.root, 0, 0, 0)?;
        Ok(())
    }

    /// Releases every button there is a name for.
    pub(super) fn release_buttons(&self) -> Result<()> {
        use MouseButton::{Back, Forward, Left, Middle, Right};
        for button in [Left, Middle, Right, Back, Forward] {
            self.button(number(button), false, 0)?;
        }
        Ok(())
    }

    fn size(&self) -> Result<Size> {
        let geometry = self.connection.get_geometry(self.root)?.reply()?;
        Ok(Size { width: geometry.width.into(), height: geometry.height.into() })
    }

    /// Hides or shows the pointer. The server counts how often, so it is asked only for a change.
    pub(super) fn hide_pointer(&mut self, hidden: bool) -> Result<()> {
        if hidden != self.hidden {
            if hidden {
                self.connection.xfixes_hide_cursor(self.root)?.check()?;
            } else {
                self.connection.xfixes_show_cursor(self.root)?.check()?;
            }
            self.hidden = hidden;
        }
        Ok(())
    }
}

impl Display {
    pub(crate) async fn size(&mut self) -> Result<Size> {
        self.call(|server| server.size()).await
    }

    /// Where the mouse is, whoever moved it.
    pub(crate) async fn position(&mut self) -> Result<Point> {
        self.call(|server| {
            let pointer = server.connection.query_pointer(server.root)?.reply()?;
            Ok(Point { x: pointer.root_x.into(), y: pointer.root_y.into() })
        })
        .await
    }

    pub(crate) async fn move_to(&mut self, to: Point) -> Result<()> {
        self.call(move |server| {
            server.motion(to)?;
            server.connection.sync()?;
            Ok(())
        })
        .await
    }

    /// Presses a button, or releases it.
    pub(crate) async fn button(&mut self, button: MouseButton, down: bool) -> Result<()> {
        if !down && self.lets_go_later() {
            return Ok(());
        }
        self.call(move |server| {
            server.button(number(button), down, 0)?;
            server.connection.sync()?;
            Ok(())
        })
        .await
    }

    /// Clicks at a place, `times` times.
    pub(crate) async fn click(&mut self, at: Point, button: MouseButton, times: u32) -> Result<()> {
        self.call(move |server| {
            server.motion(at)?;
            for count in 0..times {
                let after = if count == 0 { 0 } else { BETWEEN_CLICKS };
                server.button(number(button), true, after)?;
                server.button(number(button), false, 0)?;
            }
            server.connection.sync()?;
            Ok(())
        })
        .await
    }

    /// Turns the wheel at a place.
    pub(crate) async fn wheel(&mut self, at: Point, x: i32, y: i32) -> Result<()> {
        self.call(move |server| {
            server.motion(at)?;
            for (ticks, back, forth) in [(y, UP, DOWN), (x, LEFT, RIGHT)] {
                let button = if ticks < 0 { back } else { forth };
                for _ in 0..ticks.unsigned_abs() {
                    server.button(button, true, 0)?;
                    server.button(button, false, 0)?;
                }
            }
            server.connection.sync()?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn hide_cursor(&mut self, hidden: bool) -> Result<()> {
        // What draws pictures of the screen draws the pointer itself, and has to know.
        self.desired_state.hide_pointer(hidden);
        self.call(move |server| {
            server.hide_pointer(hidden)?;
            server.connection.flush()?;
            Ok(())
        })
        .await
    }
}
