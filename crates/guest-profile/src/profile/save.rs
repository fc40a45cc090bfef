//! Saving a profile, with which Chromium ends.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use browserd_guest_fs::archive::{Packer, tar_body};
use browserd_guest_fs::open_plain;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::contents::{COOKIES, FOLDERS};
use super::{Profile, ProfileError};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

impl Profile {
    /// Ends Chromium for good and answers with its profile, packed while it is read. An archive that
    /// cannot be finished breaks off.
    pub async fn save(&self) -> Result<Body, ProfileError> {
        let Self(inner) = self;
        self.is_possible()?;
        let _one = inner.changing.lock().await;
        // Chromium has them in memory; what is on the disk is older, and in its own form.
        let cookies = inner.browser.retire().await?;
        let session = Arc::clone(&inner.session);
        let packed = tar_body(move |packer| {
            packer.file(COOKIES, cookies.get().as_bytes())?;
            pack_folders(packer, &session.places.user_data)
        });
        Ok(packed.await?)
    }
}

/// Packs the folders that are there.
fn pack_folders(packer: &mut Packer<'_>, user_data: &Path) -> io::Result<()> {
    let flags = FOLDER | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let user_data: OwnedFd = rustix::fs::open(user_data, flags, Mode::empty())?;
    for folder in FOLDERS {
        let path = folder.path();
        match open_plain(&user_data, path.as_ref(), FOLDER) {
            Ok(dir) => packer.folder(&path, dir)?,
            // Not made yet, or something inside put another thing in its place.
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
