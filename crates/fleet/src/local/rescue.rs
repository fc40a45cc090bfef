//! Recordings of a session whose end came before their files were fetched: they are moved out before
//! the folder goes.
//!
//! Everything below the session's folder is of its making: folders are entered without following
//! links, and only regular files with the name of a recording, and no other name, are moved. Only
//! the server writes where they are moved to.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use browserd_api::{ReplayId, SessionId};
use browserd_protocol::inside;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags};

/// Where they go, below the state folder: `<session>.<recording>.mp4` each.
const RESCUED: &str = "rescued";

/// Recordings moved at most; a guest keeps fewer.
const COUNT_LIMIT: usize = 512;

fn rescued(state_dir: &Path, session: &SessionId, replay: &ReplayId) -> PathBuf {
    state_dir.join(RESCUED).join(format!("{session}.{replay}.mp4"))
}

/// Opens a rescued recording; none where there is no such file.
pub(super) fn open(
    state_dir: &Path,
    session: &SessionId,
    replay: &ReplayId,
) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(rescued(state_dir, session, replay), flags, Mode::empty()) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(error) => none_if_missing(error.into()).map(|()| None),
    }
}

/// Removes a rescued recording; one that is not there is no error.
pub(super) fn remove(state_dir: &Path, session: &SessionId, replay: &ReplayId) -> io::Result<()> {
    std::fs::remove_file(rescued(state_dir, session, replay)).or_else(none_if_missing)
}

/// Removes what was rescued of all sessions but those in `keep`.
pub(super) fn remove_except(state_dir: &Path, keep: &[SessionId]) -> io::Result<()> {
    let files = match std::fs::read_dir(state_dir.join(RESCUED)) {
        Ok(files) => files,
        Err(error) => return none_if_missing(error),
    };
    // One that resists must not keep the others here.
    let mut failed = None;
    for file in files {
        let file = file?;
        let kept = file.file_name().to_str().is_some_and(|name| {
            let session = name.split('.').next();
            keep.iter().any(|id| session == Some(id.as_str()))
        });
        if !kept && let Err(error) = std::fs::remove_file(file.path()) {
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

fn none_if_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
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
            Ok(count) => {
                tracing::info!(%session, count, "moved recordings out of an ended session's folder");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(
                %session, %error,
                "could not move recordings out of an ended session's folder; those not moved are lost"
            ),
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
        // Through a second name another program may be able to write to it.
        if !is_file || about.st_nlink != 1 || about.st_size == 0 {
            continue;
        }
        if count == COUNT_LIMIT {
            return Err(io::Error::other("there are more files than recordings"));
        }
        let to = rescued(state_dir, session, &id);
        super::make_folder(&state_dir.join(RESCUED)).map_err(io::Error::other)?;
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
        let [kept, linked, empty, twice] = std::array::from_fn(|_| ReplayId::generate());
        std::fs::write(folder.join(format!("{kept}.mp4")), "film").unwrap();
        std::fs::write(folder.join(format!("{empty}.mp4")), "").unwrap();
        std::fs::write(folder.join("other.mp4"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join(format!("{linked}.mp4"))).unwrap();
        std::fs::write(folder.join(format!("{twice}.mp4")), "film").unwrap();
        std::fs::hard_link(folder.join(format!("{twice}.mp4")), state.path().join("x")).unwrap();
        replays(&dir);
        let there = |id| open(state.path(), &session, id).unwrap().is_some();
        assert_eq!([&kept, &linked, &empty, &twice].map(there), [true, false, false, false]);
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
        assert!(open(state.path(), &session, &replay).unwrap().is_none());
    }

    #[test]
    fn what_has_no_name_of_a_recording_is_removed_too() {
        let state = tempfile::tempdir().unwrap();
        remove_except(state.path(), &[]).unwrap();
        let folder = state.path().join(RESCUED);
        std::fs::create_dir(&folder).unwrap();
        let kept = SessionId::generate();
        for name in ["other", "a.b.c", &format!("{kept}.x.mp4")] {
            std::fs::write(folder.join(name), "x").unwrap();
        }
        remove_except(state.path(), std::slice::from_ref(&kept)).unwrap();
        let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
        assert_eq!(left.len(), 1);
        assert!(left[0].file_name().to_str().unwrap().starts_with(kept.as_str()));
    }
}
