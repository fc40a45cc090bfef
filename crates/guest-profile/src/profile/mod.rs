//! Browser profiles: cookies and what sites keep in a browser, as an archive.
//!
//! A profile is a tar with zstd of `cookies.json` (what `Storage.getCookies` answers) and the folders of
//! `contents.rs` below `Default/`. Owns applying one to the running Chromium, and saving one at Chromium's
//! end. Knows no HTTP: the guest's `internal/profile.rs` does.
//!
//! ```text
//!  archive ─▶ in staging dir ─▶ cookies read ─▶ storage process stopped ─▶ folders exchanged ─▶ cookies set
//!              400, 507           400                                        undone when one fails
//!
//!  cookies ─▶ Browser.close ─▶ its exit ─▶ packed while it is read
//! ```

mod apply;
mod contents;
mod cookies;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod place;
mod save;

use std::io;
use std::sync::Arc;

use browserd_chromium::cdp::CdpError;
use browserd_guest_browser::{Browser, NoBrowser, RetireError};
use browserd_guest_fs::StagingDir;
use browserd_guest_fs::archive::Refused;
use browserd_guest_session::Session;
use tokio::sync::Mutex;

/// The profile of a session's browser. Cheap to clone.
#[derive(Clone)]
pub struct Profile(Arc<Inner>);

struct Inner {
    session: Arc<Session>,
    browser: Browser,
    /// One is applied or saved at a time.
    changing: Mutex<()>,
}

/// Why a profile was neither applied nor saved.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It keeps Local Storage in its main process, which cannot be made to let go of it.
    #[error(
        "headless sessions of this server run chromium-headless-shell, which takes and gives no profile; \
         create a headful session for them"
    )]
    Shell,
    /// The archive is none of a profile, in words.
    #[error("is no profile: {0}")]
    Archive(String),
    /// There is no browser.
    #[error(transparent)]
    NoBrowser(#[from] NoBrowser),
    /// Chromium refused it, or its pipe is closed.
    #[error(transparent)]
    Cdp(#[from] CdpError),
    /// A file of it was not read or written.
    #[error("{0}")]
    Files(#[from] io::Error),
}

impl From<Refused> for ProfileError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Archive(words) => Self::Archive(words),
            Refused::Disk(error) => Self::Files(error),
        }
    }
}

impl From<RetireError> for ProfileError {
    fn from(error: RetireError) -> Self {
        match error {
            RetireError::NoBrowser(error) => Self::NoBrowser(error),
            RetireError::Cdp(error) => Self::Cdp(error),
        }
    }
}

impl Profile {
    /// The profile of `browser`.
    #[must_use]
    pub fn new(session: Arc<Session>, browser: Browser) -> Self {
        Self(Arc::new(Inner { session, browser, changing: Mutex::default() }))
    }

    /// Refuses where the browser takes and gives none.
    pub fn is_possible(&self) -> Result<(), ProfileError> {
        if self.0.browser.runs_shell() { Err(ProfileError::Shell) } else { Ok(()) }
    }

    /// A folder for an archive and what comes out of it.
    pub fn staging_dir(&self) -> io::Result<StagingDir> {
        StagingDir::new(&self.0.session, "profile")
    }

    /// The session whose profile it is.
    pub fn session(&self) -> &Arc<Session> {
        &self.0.session
    }
}
