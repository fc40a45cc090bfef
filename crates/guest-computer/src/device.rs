//! The two kinds of screen behind one set of calls.

use browserd_api::ErrorCode;
use browserd_api::computer::MouseButton;
use browserd_rest::Error;
use xkeysym::Keysym;

use super::keys::DomKey;
use super::page::{self, FrontPage, Pages};
use super::point::{Point, Size};
use super::x11::{self, Display};

/// What a session has to look at and to act on.
pub(super) enum Device {
    /// An X server, and the page in front on it.
    Headful(Display, Box<FrontPage>),
    /// The page in front.
    Headless(Box<Pages>),
}

/// Why a call to it has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    X11(#[from] x11::Failure),
    #[error(transparent)]
    Page(#[from] page::Failure),
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// What a client is told when nothing has been done yet: it may try again.
    pub(super) fn before(&self) -> Error {
        let code = match self {
            Self::Page(page::Failure::NoPage) => ErrorCode::NotFound,
            _ => ErrorCode::UpstreamUnavailable,
        };
        let again = if matches!(self, Self::X11(_)) { "; try again" } else { "" };
        Error::new(code, format!("{self}{again}"))
    }

    /// What a client is told when something may have been done: once more would be twice.
    pub(super) fn during(&self) -> Error {
        match self {
            Self::Page(page::Failure::NoPage | page::Failure::NoBrowser(_)) => self.before(),
            _ => Error::new(
                ErrorCode::ActionFailed,
                format!(
                    "the action broke off, and part of it may have been done: {self}; look at the \
                     screen before you go on"
                ),
            ),
        }
    }
}

impl Device {
    pub(super) async fn size(&mut self) -> Result<Size> {
        Ok(match self {
            Self::Headful(display, _) => display.size().await?,
            Self::Headless(pages) => pages.size().await?,
        })
    }

    pub(super) async fn position(&mut self) -> Result<Point> {
        Ok(match self {
            Self::Headful(display, _) => display.position().await?,
            Self::Headless(pages) => pages.position(),
        })
    }

    pub(super) async fn move_to(&mut self, to: Point) -> Result<()> {
        match self {
            Self::Headful(display, _) => display.move_to(to).await?,
            Self::Headless(pages) => pages.move_to(to).await?,
        }
        Ok(())
    }

    pub(super) async fn button(&mut self, button: MouseButton, down: bool) -> Result<()> {
        match self {
            Self::Headful(display, _) => display.button(button, down).await?,
            Self::Headless(pages) => pages.button(button, down).await?,
        }
        Ok(())
    }

    pub(super) async fn click(&mut self, at: Point, button: MouseButton, times: u32) -> Result<()> {
        match self {
            Self::Headful(display, _) => display.click(at, button, times).await?,
            Self::Headless(pages) => pages.click(at, button, times).await?,
        }
        Ok(())
    }

    pub(super) async fn wheel(&mut self, at: Point, x: i32, y: i32) -> Result<()> {
        match self {
            Self::Headful(display, _) => display.wheel(at, x, y).await?,
            Self::Headless(pages) => pages.wheel(at, x, y).await?,
        }
        Ok(())
    }

    /// Hides or shows the pointer. Headless there is none to hide.
    pub(super) async fn hide_cursor(&mut self, hidden: bool) -> Result<()> {
        match self {
            Self::Headful(display, _) => display.hide_cursor(hidden).await?,
            Self::Headless(_) => {}
        }
        Ok(())
    }

    /// Whether there can be such a key here.
    pub(super) fn knows(&self, key: Keysym) -> bool {
        match self {
            // A spare key can be anything.
            Self::Headful(..) => true,
            Self::Headless(_) => DomKey::of(key, false).is_some(),
        }
    }

    /// Presses a key until [`Device::release`].
    pub(super) async fn key_down(&mut self, key: Keysym) -> Result<()> {
        match self {
            Self::Headful(display, _) => display.key_down(key).await?,
            Self::Headless(pages) => pages.key_down(key).await?,
        }
        Ok(())
    }

    /// Releases the last `count` keys that were pressed, the last first.
    pub(super) async fn release(&mut self, count: usize) -> Result<()> {
        match self {
            Self::Headful(display, _) => display.release(count).await?,
            Self::Headless(pages) => pages.release(count).await?,
        }
        Ok(())
    }

    /// Makes as many of `keys` strikable as can be at once, from the first on; answers how many.
    pub(super) async fn lend(&mut self, keys: &[Keysym]) -> Result<usize> {
        match self {
            Self::Headful(display, _) => Ok(display.lend(keys.to_vec()).await?),
            Self::Headless(_) => Ok(keys.len()),
        }
    }

    /// Types keys that are strikable.
    pub(super) async fn strike(&mut self, keys: &[Keysym]) -> Result<()> {
        match self {
            Self::Headful(display, _) => display.strike(keys.to_vec()).await?,
            Self::Headless(pages) => pages.strike(keys.to_vec()).await?,
        }
        Ok(())
    }

    /// Waits until the browser has dealt with all it was given, or has taken too long: the pages, and what
    /// it does itself because of what they said. Headless every event is awaited as it is given.
    pub(super) async fn settle(&mut self) {
        let Self::Headful(display, front) = self else { return };
        // The first answer tells that events have been passed on to the page, the second that what came of
        // them has been done: a tab opened, the clipboard taken over.
        if !display.settled().await {
            tracing::debug!("nobody with the keyboard says that it has read its input");
        }
        front.heeded().await;
        display.settled().await;
    }

    /// Ends what [`Device::lend`] began.
    pub(super) async fn take_back(&mut self) -> Result<()> {
        match self {
            Self::Headful(display, _) => display.take_back().await?,
            Self::Headless(_) => {}
        }
        Ok(())
    }
}
