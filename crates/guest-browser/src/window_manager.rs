//! The least window management Chromium needs to fill the screen.
//!
//! Without any, Chromium asks for one pixel less than the screen each way (a window exactly as
//! large would be taken for full screen by some window managers), and new windows get no focus.
//! This one gives windows what they ask for, except that one pixel, and focuses what is new. When the
//! screen changes its size, windows that filled it fill it again.
//!
//! Runs on a thread of its own with blocking reads: programs of the session could take the X
//! server's place and stop answering, which must not stop the guest. The thread ends with the
//! connection.

use std::io;
use std::time::Duration;

use tokio::sync::oneshot;
use x11rb::CURRENT_TIME;
use x11rb::connection::Connection;
use x11rb::errors::ReplyOrIdError;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConfigWindow, ConfigureRequestEvent, ConfigureWindowAux,
    ConnectionExt, EventMask, InputFocus, MapState, Window,
};
use x11rb::rust_connection::RustConnection;

/// How long it may take to take over the screen.
const READY_WITHIN: Duration = Duration::from_secs(5);
/// Its stack, bytes: it calls nothing deep.
const STACK: usize = 256 * 1024;

/// Takes over the windows of the display; answers once every new window comes to it first.
pub(super) async fn start(display: String) -> io::Result<()> {
    let (ready, is_ready) = oneshot::channel();
    std::thread::Builder::new().name("windows".into()).stack_size(STACK).spawn(move || {
        let (manager, answer) = match Manager::connect(&display) {
            Ok(manager) => (Some(manager), Ok(())),
            Err(error) => (None, Err(io::Error::other(error))),
        };
        let listened = ready.send(answer).is_ok();
        if let (Some(manager), true) = (manager, listened) {
            let error = manager.run();
            tracing::debug!(%error, "the X server is gone");
        }
    })?;
    match tokio::time::timeout(READY_WITHIN, is_ready).await {
        Ok(Ok(answer)) => answer,
        _ => Err(io::Error::other("the X server does not answer")),
    }
}

struct Manager {
    connection: RustConnection,
    root: Window,
    width: u16,
    height: u16,
}

impl Manager {
    fn connect(display: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let (connection, screen) = RustConnection::connect(Some(display))?;
        let screen = &connection.setup().roots[screen];
        let (root, width, height) = (screen.root, screen.width_in_pixels, screen.height_in_pixels);
        let redirect = ChangeWindowAttributesAux::new().event_mask(
            EventMask::SUBSTRUCTURE_REDIRECT
                | EventMask::SUBSTRUCTURE_NOTIFY
                | EventMask::STRUCTURE_NOTIFY,
        );
        connection.change_window_attributes(root, &redirect)?.check()?;
        Ok(Self { connection, root, width, height })
    }

    /// Serves until the connection fails; answers why.
    fn run(mut self) -> ReplyOrIdError {
        loop {
            let result = self
                .connection
                .wait_for_event()
                .map_err(Into::into)
                .and_then(|event| self.handle(&event));
            match result {
                Ok(()) => {}
                // About a window that is gone already.
                Err(ReplyOrIdError::X11Error(error)) => tracing::debug!(?error, "window"),
                Err(error) => return error,
            }
        }
    }

    fn handle(&mut self, event: &Event) -> Result<(), ReplyOrIdError> {
        match event {
            Event::MapRequest(request) => self.show(request.window)?,
            Event::ConfigureRequest(request) => self.configure(request)?,
            Event::ConfigureNotify(change) if change.window == self.root => {
                self.follow(change.width, change.height)?;
            }
            _ => return Ok(()),
        }
        self.connection.flush()?;
        Ok(())
    }

    fn show(&self, window: Window) -> Result<(), ReplyOrIdError> {
        let size = self.connection.get_geometry(window)?.reply()?;
        if self.nearly_fills(size.width, size.height) {
            self.connection.configure_window(window, &self.filling())?;
        }
        self.connection.map_window(window)?;
        self.connection.set_input_focus(InputFocus::POINTER_ROOT, window, CURRENT_TIME)?;
        Ok(())
    }

    fn configure(&self, request: &ConfigureRequestEvent) -> Result<(), ReplyOrIdError> {
        let sized = request.value_mask.contains(ConfigWindow::WIDTH | ConfigWindow::HEIGHT);
        let granted = if sized && self.nearly_fills(request.width, request.height) {
            self.filling()
        } else {
            ConfigureWindowAux::from_configure_request(request)
        };
        self.connection.configure_window(request.window, &granted)?;
        Ok(())
    }

    /// The screen has another size: windows that filled it get it.
    fn follow(&mut self, width: u16, height: u16) -> Result<(), ReplyOrIdError> {
        let before = (self.width, self.height);
        (self.width, self.height) = (width, height);
        for window in self.connection.query_tree(self.root)?.reply()?.children {
            // One that is gone meanwhile needs nothing.
            let Ok(attributes) = self.connection.get_window_attributes(window)?.reply() else {
                continue;
            };
            let Ok(size) = self.connection.get_geometry(window)?.reply() else { continue };
            let filled = u32::from(size.width) + 1 >= u32::from(before.0)
                && u32::from(size.height) + 1 >= u32::from(before.1);
            if filled && attributes.map_state == MapState::VIEWABLE && !attributes.override_redirect
            {
                self.connection.configure_window(window, &self.filling())?;
            }
        }
        Ok(())
    }

    fn nearly_fills(&self, width: u16, height: u16) -> bool {
        width.checked_add(1) == Some(self.width) && height.checked_add(1) == Some(self.height)
    }

    fn filling(&self) -> ConfigureWindowAux {
        ConfigureWindowAux::new()
            .x(0)
            .y(0)
            .width(u32::from(self.width))
            .height(u32::from(self.height))
    }
}
