//! Looking at the picture of a headful session.

use std::time::Duration;

use browserd_protocol::{GuestReport, GuestSpec};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt, ImageFormat};
use x11rb::rust_connection::RustConnection;

use super::{Guest, PATIENCE, config, descendants, evaluate, go, spec};

const RED: &str =
    "data:text/html,<title>red</title><body style='margin:0;background:rgb(255,0,0)'>";

/// A headful session of 1280x800.
pub(crate) fn headful(kiosk: bool) -> GuestSpec {
    let mut config = config();
    config.headless = false;
    config.kiosk_mode = kiosk;
    spec(config)
}

/// Starts the session, looks at its screen, kills its X server, looks again, and ends it.
pub(crate) async fn fills_the_screen(kiosk: bool) {
    let mut guest = Guest::start(headful(kiosk));
    assert!(
        matches!(guest.report().await, GuestReport::Ready { .. }),
        "{}",
        guest.log("guest.log")
    );
    check(&guest, kiosk).await;

    // An X server that dies takes Chromium along; both come back.
    let (pid, _) =
        descendants().into_iter().find(|(_, line)| line.contains("Xvfb")).expect("Xvfb runs");
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    assert!(matches!(guest.report().await, GuestReport::BrowserLost { .. }));
    let back = guest.report().await;
    assert_eq!(back, GuestReport::BrowserBack, "{}", guest.log("guest.log"));
    check(&guest, kiosk).await;

    let begin = std::time::Instant::now();
    guest.browser.stop().await;
    eprintln!("stopped after {:?}\n{}", begin.elapsed(), guest.log("guest.log"));
    let gone = async {
        while !descendants().is_empty() {
            guest.session.children.reaped().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, gone).await;
    assert!(waited.is_ok(), "still there: {:?}", descendants());
}

async fn check(guest: &Guest, kiosk: bool) {
    let cdp = guest.running().await.cdp;
    go(&cdp, RED).await;
    // The first frame is painted at a moment of Chromium's choosing.
    let painted = async {
        loop {
            let size = "[screen.width, screen.height, outerWidth, outerHeight, innerWidth]";
            let seen = evaluate(&cdp, size).await;
            let display = format!(":{}", guest.session.places.display);
            let red = tokio::task::spawn_blocking(move || red_rows(&display)).await.unwrap();
            // Without the policies that sessions have, a bar below the toolbar warns of a flag.
            let expected = if kiosk { 0..=0 } else { 90..=180 };
            let filled = red.columns == 1280
                && red.focused
                && expected.contains(&red.first)
                && red.last == 799;
            if seen == json!([1280, 800, 1280, 800, 1280]) && filled {
                return;
            }
            eprintln!("not yet: {seen} {red:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, painted).await.expect("the window does not fill the screen");
}

#[derive(Debug)]
struct Red {
    /// First and last row that is red over its whole width, and that width.
    first: usize,
    last: usize,
    columns: usize,
    /// Whether a window has the keyboard (0 and 1 mean none, and whatever the pointer is over).
    focused: bool,
}

/// Looks at the picture on the screen itself.
fn red_rows(display: &str) -> Red {
    let (connection, screen) = RustConnection::connect(Some(display)).unwrap();
    let screen = &connection.setup().roots[screen];
    let (width, height) = (screen.width_in_pixels, screen.height_in_pixels);
    let image = connection
        .get_image(ImageFormat::Z_PIXMAP, screen.root, 0, 0, width, height, u32::MAX)
        .unwrap()
        .reply()
        .unwrap();
    let focused = connection.get_input_focus().unwrap().reply().unwrap().focus > 1;
    let rows: Vec<usize> = image
        .data
        .chunks_exact(usize::from(width) * 4)
        .enumerate()
        .filter(|(_, row)| row.chunks_exact(4).all(|pixel| pixel[..3] == [0, 0, 255]))
        .map(|(at, _)| at)
        .collect();
    let first = rows.first().copied().unwrap_or(usize::MAX);
    let last = rows.last().copied().unwrap_or_default();
    Red { first, last, columns: usize::from(width), focused }
}
