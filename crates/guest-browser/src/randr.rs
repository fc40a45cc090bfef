//! The size of the X screen, changed while it runs.
//!
//! Xvfb is started at the largest size ([`largest`]) and set to the wanted one: it can take any size
//! up to the one it started with.

use std::io;
use std::time::Duration;

use browserd_api::browser::Viewport;
use x11rb::connection::Connection;
use x11rb::protocol::randr::{ConnectionExt as _, ModeInfo, Rotation, SetConfig};
use x11rb::protocol::xproto::{ConnectionExt as _, Timestamp};
use x11rb::rust_connection::RustConnection;
use x11rb::{CURRENT_TIME, NONE};

/// How long a change may take.
const WITHIN: Duration = Duration::from_secs(5);
/// Tenths of a millimetre in an inch.
const INCH: u32 = 254;
/// Pixels in an inch.
const DPI: u32 = 96;

/// The size an X server is started with, so that a session can grow later. A screen of this size costs
/// 28 MiB more than 1280x800.
pub(super) fn largest(first: Viewport) -> (u32, u32) {
    (first.width.max(3840), first.height.max(2160))
}

/// Sets the display's screen to a size of at most [`largest`].
pub(super) async fn set(display: String, width: u32, height: u32) -> io::Result<()> {
    // A thread, since programs of the session could take the server's place and never answer.
    let work = tokio::task::spawn_blocking(move || set_now(&display, width, height));
    match tokio::time::timeout(WITHIN, work).await {
        Ok(Ok(done)) => done.map_err(io::Error::other),
        Ok(Err(lost)) => Err(io::Error::other(lost)),
        Err(_) => Err(io::Error::other("the X server does not answer")),
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn set_now(display: &str, width: u32, height: u32) -> Outcome<()> {
    let (connection, screen) = RustConnection::connect(Some(display))?;
    let root = connection.setup().roots[screen].root;
    let (width, height) = (u16::try_from(width)?, u16::try_from(height)?);
    // Others see the change as one.
    connection.grab_server()?;
    let resources = connection.randr_get_screen_resources_current(root)?.reply()?;
    let (Some(&crtc), Some(&output)) = (resources.crtcs.first(), resources.outputs.first()) else {
        return Err("the X server has no screen to change".into());
    };
    let known = resources.modes.iter().find(|mode| (mode.width, mode.height) == (width, height));
    let mode = match known {
        Some(mode) => mode.id,
        None => {
            let name = format!("{width}x{height}");
            let mode = new_mode(width, height, &name);
            let mode = connection.randr_create_mode(root, mode, name.as_bytes())?.reply()?.mode;
            connection.randr_add_output_mode(output, mode)?.check()?;
            mode
        }
    };
    let time = resources.config_timestamp;
    let before = connection.randr_get_crtc_info(crtc, time)?.reply()?.mode;
    // The screen must not be smaller than what is shown on it, nor what is shown larger.
    show(&connection, crtc, time, NONE, &[])?;
    let millimetres = |pixels: u16| u32::from(pixels) * INCH / (DPI * 10);
    connection
        .randr_set_screen_size(root, width, height, millimetres(width), millimetres(height))?
        .check()?;
    show(&connection, crtc, time, mode, &[output])?;
    if before != mode && before != NONE {
        // One of ours; the one the server started with cannot be removed, nor need it be.
        if connection.randr_delete_output_mode(output, before)?.check().is_ok() {
            let _ = connection.randr_destroy_mode(before)?.check();
        }
    }
    connection.ungrab_server()?.check()?;
    Ok(())
}

fn show(
    connection: &RustConnection,
    crtc: u32,
    time: Timestamp,
    mode: u32,
    outputs: &[u32],
) -> Outcome<()> {
    let shown = connection
        .randr_set_crtc_config(crtc, CURRENT_TIME, time, 0, 0, mode, Rotation::ROTATE0, outputs)?
        .reply()?;
    if shown.status == SetConfig::SUCCESS {
        Ok(())
    } else {
        Err(format!("the X server does not show this size ({:?})", shown.status).into())
    }
}

fn new_mode(width: u16, height: u16, name: &str) -> ModeInfo {
    ModeInfo {
        id: 0,
        width,
        height,
        // 60 a second, for programs that ask; nothing is sent to a real screen.
        dot_clock: u32::from(width) * u32::from(height) * 60,
        hsync_start: width,
        hsync_end: width,
        htotal: width,
        hskew: 0,
        vsync_start: height,
        vsync_end: height,
        vtotal: height,
        name_len: name.len() as u16,
        mode_flags: 0u32.into(),
    }
}
