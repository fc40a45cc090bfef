//! Taking pictures of an X display: told of changes by DAMAGE, through memory shared with the
//! server (SHM), with the pointer drawn in (XFIXES).
//!
//! The shared memory is read like a file, never mapped: the copy is needed anyway, and a mapping that
//! another process writes to would be no safe slice.

use std::error::Error;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use browserd_guest_browser::DesiredState;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use x11rb::connection::Connection;
use x11rb::errors::ReplyError;
use x11rb::protocol::Event;
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xfixes::{ConnectionExt as _, CursorNotifyMask};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, ImageFormat, Window,
};
use x11rb::rust_connection::RustConnection;

use super::frame::{Frame, PIXEL_LIMIT};
use super::pointer::Pointer;
use super::slot::Slot;

type Failure = Box<dyn Error + Send + Sync>;

/// Most bytes of a pointer's picture, pixels: 256 each way.
const POINTER_LIMIT: usize = 1 << 16;

/// Takes pictures of `display` into `slot` until the other end of `hang_up` is closed; an error when
/// the server goes away.
pub(super) fn capture(
    display: &str,
    hang_up: &OwnedFd,
    slot: &Slot,
    desired_state: &DesiredState,
) -> Result<(), Failure> {
    let mut camera = Camera::set_up(display)?;
    let mut due = Instant::now();
    loop {
        let mut idle = true;
        while let Some(event) = camera.connection.poll_for_event()? {
            camera.heed(&event);
            idle = false;
        }
        if Instant::now() >= due {
            if let Some(frame) = camera.look(desired_state.pointer_hidden())? {
                slot.show(frame);
            }
            due = Instant::now() + slot.period();
            idle = false;
        }
        if !idle {
            // Answers may have brought events along, which no descriptor announces any more.
            continue;
        }
        camera.connection.flush()?;
        let mut descriptors = [
            PollFd::new(camera.connection.stream(), PollFlags::IN),
            PollFd::new(hang_up, PollFlags::empty()),
        ];
        let wait = due.saturating_duration_since(Instant::now()) + Duration::from_micros(500);
        let wait = Timespec {
            tv_sec: wait.as_secs().try_into().unwrap_or(1),
            tv_nsec: wait.subsec_nanos().into(),
        };
        match poll(&mut descriptors, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !descriptors[1].revents().is_empty() {
            return Ok(());
        }
    }
}

/// A connection with everything set up to take pictures.
struct Camera {
    connection: RustConnection,
    root: Window,
    damage: u32,
    /// Something has changed since the last picture.
    changed: bool,
    pointer: Option<Pointer>,
    /// Where it was in the last picture; none: it was hidden.
    pointer_at: Option<(i32, i32)>,
    shared: Option<Shared>,
}

/// Memory the server writes pictures to.
struct Shared {
    segment: shm::Seg,
    memory: OwnedFd,
    width: u16,
    height: u16,
}

impl Camera {
    fn set_up(display: &str) -> Result<Self, Failure> {
        let (connection, screen) = RustConnection::connect(Some(display))?;
        let screen = &connection.setup().roots[screen];
        let root = screen.root;
        let wide = connection
            .setup()
            .pixmap_formats
            .iter()
            .any(|format| format.depth == screen.root_depth && format.bits_per_pixel == 32);
        if !wide {
            return Err("the screen's pixels have not four bytes".into());
        }
        connection.damage_query_version(1, 1)?.reply()?;
        connection.xfixes_query_version(5, 0)?.reply()?;
        let shm = connection.shm_query_version()?.reply()?;
        if (shm.major_version, shm.minor_version) < (1, 2) {
            return Err("the X server shares no memory by descriptor".into());
        }
        let damage = connection.generate_id()?;
        connection.damage_create(damage, root, ReportLevel::NON_EMPTY)?.check()?;
        connection.xfixes_select_cursor_input(root, CursorNotifyMask::DISPLAY_CURSOR)?.check()?;
        let resizes = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        connection.change_window_attributes(root, &resizes)?.check()?;
        Ok(Self {
            connection,
            root,
            damage,
            changed: true,
            pointer: None,
            pointer_at: None,
            shared: None,
        })
    }

    fn heed(&mut self, event: &Event) {
        match event {
            Event::DamageNotify(_) => self.changed = true,
            Event::XfixesCursorNotify(_) => {
                self.pointer = None;
                self.changed = true;
            }
            Event::ConfigureNotify(change) if change.window == self.root => {
                let same = |shared: &Shared| {
                    (shared.width, shared.height) == (change.width, change.height)
                };
                if !self.shared.as_ref().is_some_and(same) {
                    self.forget_shared();
                    self.changed = true;
                }
            }
            _ => {}
        }
    }

    /// A picture, if anything has changed since the last one.
    fn look(&mut self, hidden: bool) -> Result<Option<Frame>, Failure> {
        let pointer = self.connection.query_pointer(self.root)?.reply()?;
        let at = (!hidden).then(|| (i32::from(pointer.root_x), i32::from(pointer.root_y)));
        if !self.changed && at == self.pointer_at {
            return Ok(None);
        }
        // First, so that what changes while the picture is taken is announced again.
        self.connection.damage_subtract(self.damage, x11rb::NONE, x11rb::NONE)?;
        (self.changed, self.pointer_at) = (false, at);
        let mut frame = match self.take() {
            Ok(frame) => frame,
            // The screen has just got another size; the event about it is on its way.
            Err(TakeError::Refused) => {
                self.forget_shared();
                self.changed = true;
                return Ok(None);
            }
            Err(TakeError::Failed(error)) => return Err(error),
        };
        if self.pointer.is_none() {
            self.pointer = self.look_at_pointer()?;
        }
        if let (Some(pointer), Some(at)) = (&self.pointer, at) {
            pointer.draw(&mut frame, at);
        }
        Ok(Some(frame))
    }

    fn take(&mut self) -> Result<Frame, TakeError> {
        let shared = match self.shared.take() {
            Some(shared) => shared,
            None => self.share()?,
        };
        let Shared { segment, width, height, .. } = shared;
        let format = ImageFormat::Z_PIXMAP.into();
        let image = self
            .connection
            .shm_get_image(self.root, 0, 0, width, height, !0, format, segment, 0)
            .map_err(|error| TakeError::Failed(error.into()))?
            .reply();
        match image {
            Ok(_) => {}
            Err(ReplyError::X11Error(_)) => {
                self.shared = Some(shared);
                return Err(TakeError::Refused);
            }
            Err(error) => return Err(TakeError::Failed(error.into())),
        }
        let mut pixels = vec![0; usize::from(width) * usize::from(height) * 4];
        let mut read = 0;
        while read < pixels.len() {
            match rustix::io::pread(&shared.memory, &mut pixels[read..], read as u64) {
                Ok(0) => return Err(TakeError::Failed("the shared memory was cut".into())),
                Ok(n) => read += n,
                Err(error) => return Err(TakeError::Failed(error.into())),
            }
        }
        self.shared = Some(shared);
        Ok(Frame { width: width.into(), height: height.into(), pixels })
    }

    /// Shares memory for a picture of the whole screen as it is now.
    fn share(&self) -> Result<Shared, TakeError> {
        let failed = |error: Failure| TakeError::Failed(error);
        let geometry = self.connection.get_geometry(self.root).map_err(|e| failed(e.into()))?;
        let geometry = geometry.reply().map_err(|e| failed(e.into()))?;
        let (width, height) = (geometry.width, geometry.height);
        let size = u64::from(width) * u64::from(height);
        if size == 0 || size > PIXEL_LIMIT {
            return Err(failed(format!("a screen of {width} by {height} pixels").into()));
        }
        let memory = rustix::fs::memfd_create("screen", MemfdFlags::CLOEXEC)
            .and_then(|memory| rustix::fs::ftruncate(&memory, size * 4).map(|()| memory))
            .map_err(|error| failed(error.into()))?;
        let copy = memory.as_fd().try_clone_to_owned().map_err(|e| failed(e.into()))?;
        let segment = self.connection.generate_id().map_err(|e| failed(e.into()))?;
        self.connection
            .shm_attach_fd(segment, copy, false)
            .map_err(|e| failed(e.into()))?
            .check()
            .map_err(|e| failed(e.into()))?;
        Ok(Shared { segment, memory, width, height })
    }

    fn forget_shared(&mut self) {
        if let Some(shared) = self.shared.take() {
            // What cannot be told to a server that is gone need not be told.
            let _ = self.connection.shm_detach(shared.segment);
        }
    }

    fn look_at_pointer(&self) -> Result<Option<Pointer>, Failure> {
        let image = match self.connection.xfixes_get_cursor_image()?.reply() {
            Ok(image) => image,
            // There is none yet.
            Err(ReplyError::X11Error(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if image.cursor_image.len() > POINTER_LIMIT {
            return Ok(None);
        }
        Ok(Some(Pointer {
            width: image.width.into(),
            height: image.height.into(),
            hot: (image.xhot.into(), image.yhot.into()),
            pixels: image.cursor_image,
        }))
    }
}

/// Why there is no picture.
enum TakeError {
    /// The server takes the request for wrong.
    Refused,
    /// There is no use in going on.
    Failed(Failure),
}
