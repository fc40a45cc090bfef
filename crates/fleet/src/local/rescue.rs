//! Recordings of a session whose end came before their files were taken: they are moved out before
//! the folder goes.
//!
//! Everything below the session's folder is of its making: folders are entered without following
//! links, and only regular files with the name of a recording are moved.

use std::io;
use std::path::{Path, PathBuf};

use browserd_api::{ReplayId, SessionId};
use browserd_protocol::inside;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags};

/// Where they go, below the state folder: `<session>.<recording>.mp4` each.
pub const RESCUED: &str = "rescued";

/// Recordings moved at most; a guest keeps fewer.
const COUNT_LIMIT: usize = 512;

/// The rescued file of a recording.
#[must_use]
pub fn rescued(state_dir: &Path, session: &SessionId, replay: &ReplayId) -> PathBuf {
    state_dir.join(RESCUED).join(format!("{session}.{replay}.mp4"))
}

/// Moves the recordings out of a session's folder, `<state>/sessions/<id>`; nothing runs in it any
/// more. What cannot be moved is given up.
pub(super) fn replays(dir: &Path) {
    let session = dir.file_name().and_then(|name| name.to_str()?.parse::<SessionId>().ok());
    let state_dir = dir.parent().and_then(Path::parent);
    let (Some(session), Some(state_dir)) = (session, state_dir) else { return };
    // The root of a session is an overlay's upper layer, or a folder of its own.
    for root in ["upper", "root"] {
        match moved(&dir.join(root), state_dir, &session) {
            Ok(0) => {}
            Ok(count) => tracing::info!(%session, count, "recordings were kept"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%session, %error, "recordings may be lost"),
        }
    }
}

fn moved(root: &Path, state_dir: &Path, session: &SessionId) -> io::Result<usize> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let folder = inside::REPLAYS.trim_start_matches('/');
    let folder = rustix::fs::openat2(&root, folder, flags, Mode::empty(), resolve)?;
    let mut count = 0;
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let id = name.to_str().ok().and_then(|name| name.strip_suffix(".mp4")?.parse().ok());
        let Some(id): Option<ReplayId> = id else { continue };
        let about = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_file = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
        if !is_file || about.st_size == 0 {
            continue;
        }
        if count == COUNT_LIMIT {
            return Err(io::Error::other("there are more files than recordings"));
        }
        let to = rescued(state_dir, session, &id);
        if let Some(place) = to.parent() {
            super::make_folder(place).map_err(io::Error::other)?;
        }
        rustix::fs::renameat(&folder, name, CWD, &to)?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_moved_and_links_are_not_followed() {
        let state = tempfile::tempdir().unwrap();
        let session = SessionId::generate();
        let dir = state.path().join("sessions").join(session.as_str());
        let folder = dir.join("upper").join(inside::REPLAYS.trim_start_matches('/'));
        std::fs::create_dir_all(&folder).unwrap();
        let (kept, linked, empty) =
            (ReplayId::generate(), ReplayId::generate(), ReplayId::generate());
        std::fs::write(folder.join(format!("{kept}.mp4")), "film").unwrap();
        std::fs::write(folder.join(format!("{empty}.mp4")), "").unwrap();
        std::fs::write(folder.join("other.mp4"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join(format!("{linked}.mp4"))).unwrap();
        replays(&dir);
        let there = |id| rescued(state.path(), &session, id).exists();
        assert_eq!((there(&kept), there(&linked), there(&empty)), (true, false, false));
    }

    #[test]
    fn a_folder_that_leads_elsewhere_is_not_entered() {
        let state = tempfile::tempdir().unwrap();
        let (session, replay) = (SessionId::generate(), ReplayId::generate());
        let dir = state.path().join("sessions").join(session.as_str());
        let elsewhere = state.path().join("elsewhere");
        std::fs::create_dir_all(elsewhere.join("replays")).unwrap();
        std::fs::write(elsewhere.join("replays").join(format!("{replay}.mp4")), "film").unwrap();
        std::fs::create_dir_all(dir.join("upper/var/lib")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, dir.join("upper/var/lib/browserd")).unwrap();
        replays(&dir);
        assert!(!rescued(state.path(), &session, &replay).exists());
    }
}
