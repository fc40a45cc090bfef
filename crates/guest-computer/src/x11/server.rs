//! The connection, and what is set up on it once.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xfixes::ConnectionExt as _;
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateWindowAux, EventMask, Keycode,
    Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::{DefaultStream, RustConnection};
use x11rb::wrapper::ConnectionExt as _;

use super::capture::Shared;
use super::clipboard::Owned;
use super::keyboard::Keyboard;
use super::{Failure, Result};

x11rb::atom_manager! {
    /// Names the X server knows by number.
    pub(super) Atoms: AtomsCookie {
        CLIPBOARD,
        UTF8_STRING,
        TEXT,
        TARGETS,
        INCR,
        WM_PROTOCOLS,
        _NET_WM_PING,
        BROWSERD_CLIPBOARD,
    }
}

/// One connection to the X server.
pub(super) struct Server {
    pub(super) connection: RustConnection,
    pub(super) root: Window,
    /// An invisible window, for selections.
    pub(super) own: Window,
    pub(super) atoms: Atoms,
    pub(super) keyboard: Option<Keyboard>,
    /// Keys that are down, with the Shift some need.
    pub(super) held: Vec<Vec<Keycode>>,
    pub(super) shared: Option<Shared>,
    pub(super) clipboard: Option<Owned>,
    pub(super) hidden: bool,
    pub(super) pings: u32,
}

impl Server {
    pub(super) fn set_up(socket: UnixStream, hidden: bool, lost_before: bool) -> Result<Self> {
        let lost = |error: &dyn std::fmt::Display| Failure::Lost(error.to_string());
        let (stream, _) = DefaultStream::from_unix_stream(socket).map_err(|e| lost(&e))?;
        let connection = RustConnection::connect_to_stream(stream, 0).map_err(|e| lost(&e))?;
        let screen =
            connection.setup().roots.first().ok_or_else(|| lost(&"it has no screen"))?.clone();
        let wide = connection
            .setup()
            .pixmap_formats
            .iter()
            .any(|format| format.depth == screen.root_depth && format.bits_per_pixel == 32);
        if !wide {
            return Err(Failure::Refused("its pixels have not four bytes".into()));
        }
        connection.xtest_get_version(2, 2)?.reply()?;
        connection.xfixes_query_version(5, 0)?.reply()?;
        let atoms = Atoms::new(&connection)?.reply()?;
        let own = connection.generate_id()?;
        connection
            .create_window(
                0,
                own,
                screen.root,
                -1,
                -1,
                1,
                1,
                0,
                WindowClass::INPUT_ONLY,
                x11rb::COPY_FROM_PARENT,
                &CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE),
            )?
            .check()?;
        // Answers to pings come to whoever listens for changes below the root.
        let listen = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
        connection.change_window_attributes(screen.root, &listen)?.check()?;
        let mut server = Self {
            connection,
            root: screen.root,
            own,
            atoms,
            keyboard: None,
            held: Vec::new(),
            shared: None,
            clipboard: None,
            hidden: false,
            pings: 0,
        };
        server.hide_pointer(hidden)?;
        if lost_before {
            server.let_go_of_all()?;
        }
        Ok(server)
    }

    /// Releases every key and button that is down, whoever pressed it: a connection that is lost leaves
    /// them so.
    fn let_go_of_all(&self) -> Result<()> {
        let down = self.connection.query_keymap()?.reply()?.keys;
        for code in Keycode::MIN..=Keycode::MAX {
            if down[usize::from(code / 8)] >> (code % 8) & 1 == 1 {
                self.key_event(code, false)?;
            }
        }
        // The server passes over those that are not down.
        self.release_buttons()?;
        self.connection.sync()?;
        Ok(())
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.connection.stream().as_fd()
    }

    /// Deals with every event that has come.
    pub(super) fn heed_events(&mut self) -> Result<()> {
        while let Some(event) = self.connection.poll_for_event()? {
            self.heed(&event)?;
        }
        self.connection.flush()?;
        Ok(())
    }

    fn heed(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::SelectionRequest(request) => self.give_selection(request),
            Event::SelectionClear(clear) => {
                if clear.selection == self.atoms.CLIPBOARD {
                    self.clipboard = None;
                }
                Ok(())
            }
            Event::MappingNotify(_) => {
                self.keyboard_changed();
                Ok(())
            }
            // Of windows that are gone, mostly.
            Event::Error(error) => {
                tracing::debug!(?error, "the X server refused something");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The first event `wanted` takes; none when `within` has passed. Others are dealt with.
    pub(super) fn wait_for<T>(
        &mut self,
        within: Duration,
        mut wanted: impl FnMut(&Event) -> Option<T>,
    ) -> Result<Option<T>> {
        let deadline = Instant::now() + within;
        loop {
            self.connection.flush()?;
            while let Some(event) = self.connection.poll_for_event()? {
                if let Some(found) = wanted(&event) {
                    return Ok(Some(found));
                }
                // A program that wants our clipboard must not wait until this is over.
                self.heed(&event)?;
            }
            self.connection.flush()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let left = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(1),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut descriptors = [PollFd::from_borrowed_fd(self.descriptor(), PollFlags::IN)];
            match poll(&mut descriptors, Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Failure::Lost(error.to_string())),
            }
        }
    }

    /// The server's time, from an event about a property of our own.
    pub(super) fn now(&mut self) -> Result<u32> {
        let (window, property) = (self.own, self.atoms.BROWSERD_CLIPBOARD);
        self.connection
            .change_property8(
                x11rb::protocol::xproto::PropMode::APPEND,
                window,
                property,
                AtomEnum::STRING,
                &[],
            )?
            .check()?;
        let time = self.wait_for(super::ANSWER_WITHIN, |event| match event {
            Event::PropertyNotify(notify) if notify.window == window && notify.atom == property => {
                Some(notify.time)
            }
            _ => None,
        })?;
        time.ok_or(Failure::Silent)
    }
}
