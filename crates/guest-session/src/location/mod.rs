//! Where the session seems to be: its time zone and its language, and the files that say so inside.
//!
//! ```text
//!  /etc/localtime ─▶ /etc/zoneinfo/<zone>     Chromium, started without TZ, watches the link
//!  …/managed/browserd-languages.json          ForcedLanguages: navigator.languages, Accept-Language
//!  TZ, LANG                                   of processes, read when they start
//! ```
//!
//! All of it can be changed while the session runs; `guest-browser` (`relocate.rs`) has Chromium follow.

pub mod languages;
pub mod zone;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use browserd_protocol::GuestSpec;
use parking_lot::Mutex;
use serde::Deserialize;

/// Time zone and language.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Location {
    /// IANA name.
    pub timezone: String,
    /// BCP 47 tag.
    pub locale: String,
}

/// What is in force now.
#[derive(Debug)]
pub struct InForce(Mutex<Location>);

impl InForce {
    /// What the session was created with.
    #[must_use]
    pub fn at_start(spec: &GuestSpec) -> Self {
        let GuestSpec { timezone, locale, .. } = spec;
        Self(Mutex::new(Location { timezone: timezone.clone(), locale: locale.clone() }))
    }

    /// The location.
    #[must_use]
    pub fn get(&self) -> Location {
        self.0.lock().clone()
    }

    /// Puts another in force, for what starts from now on.
    pub fn set(&self, to: Location) {
        *self.0.lock() = to;
    }
}

impl Location {
    /// Writes the files below `etc`.
    pub fn plant(&self, etc: &Path) -> io::Result<()> {
        zone::plant(etc, &self.timezone)?;
        languages::plant(etc, &self.locale)
    }
}

/// Puts a file in place of whatever is there, in one step.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("browserd-new");
    remove_stale(&fresh)?;
    let mut file = File::create_new(&fresh)?;
    file.write_all(content)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    fs::rename(&fresh, path)
}

/// What an interrupted write left behind.
fn remove_stale(fresh: &Path) -> io::Result<()> {
    match fs::remove_file(fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
