//! Files of recordings: in a folder only the guest may enter, owned by the user the encoder runs
//! as, which gets them as descriptors.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use browserd_api::ReplayId;
use browserd_guest_session::Session;

/// The folder of recordings, made if it is not there.
pub(super) fn folder(session: &Session) -> io::Result<PathBuf> {
    let path = session.places.state.join("replays");
    match std::fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(path),
    }
}

/// Where a recording is.
pub(super) fn path(folder: &Path, id: &ReplayId) -> PathBuf {
    folder.join(format!("{id}.mp4"))
}

/// A fresh empty file that the encoder may write and open again.
pub(super) fn create(session: &Session, path: &Path) -> io::Result<File> {
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(path)?;
    if let Some(ids) = session.browser_ids() {
        std::os::unix::fs::fchown(&file, Some(ids.uid), Some(ids.gid))?;
    }
    Ok(file)
}
