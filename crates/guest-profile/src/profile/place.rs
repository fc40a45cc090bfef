//! From where a profile was unpacked to where Chromium has its own.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use browserd_guest_fs::archive::Refused;
use browserd_guest_fs::{Owner, open_plain};
use rustix::fs::{Mode, OFlags, RenameFlags, mkdirat, renameat, renameat_with};
use rustix::io::Errno;

use super::contents::{FOLDERS, Folder, Open};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// A profile's folder beside Chromium's of that name.
struct Exchange {
    name: &'static str,
    open: Open,
    /// Where the profile's is; none where the profile has none.
    new: Option<OwnedFd>,
    /// Where Chromium's is, or is to be.
    place: OwnedFd,
}

/// Whether what is unpacked can be put in place: folders are folders.
pub(super) fn check(unpacked: &Path) -> Result<(), Refused> {
    let unpacked = open(unpacked)?;
    for folder in FOLDERS {
        match open_plain(&unpacked, folder.path().as_ref(), FOLDER) {
            Ok(_) | Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR) => {
                return Err(Refused::Archive(format!("its {} is no folder", folder.path())));
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Whether Chromium may have anything but Local Storage open: it makes those folders when they are first
/// used, mostly with the first page that is opened.
pub(super) fn is_used(user_data: &Path) -> bool {
    let mut others = FOLDERS.iter().filter(|folder| folder.open != Open::Always);
    others.any(|folder| user_data.join(folder.path()).exists())
}

/// Puts the unpacked folders below `user_data`, in place of those there, which go to the folder `old`:
/// also those the profile has none of, so that nothing of two browsers is mixed. All of them or none, but
/// for those that cannot be exchanged any more once they are used, whose names are answered.
pub(super) fn exchange(
    unpacked: &Path,
    old: &Path,
    user_data: &Path,
    owner: Owner,
) -> io::Result<Vec<&'static str>> {
    std::fs::create_dir(old)?;
    let (unpacked, old, user_data) = (open(unpacked)?, open(old)?, open(user_data)?);
    let mut done: Vec<Exchange> = Vec::new();
    let mut left_out = Vec::new();
    let mut exchange_all = || {
        for folder in FOLDERS {
            let Some(exchange) = Exchange::of(folder, &unpacked, &user_data, owner)? else {
                continue;
            };
            if exchange.open == Open::Numbered {
                match exchange.make_once() {
                    Ok(()) => done.push(exchange),
                    Err(Errno::EXIST) => left_out.push(exchange.name),
                    Err(errno) => return Err(errno),
                }
                continue;
            }
            // Half an exchange is undone too.
            done.push(exchange);
            if let Some(exchange) = done.last() {
                exchange.make(&old)?;
            }
        }
        Ok(())
    };
    let outcome: rustix::io::Result<()> = exchange_all();
    if outcome.is_err() {
        for exchange in done.iter().rev() {
            if let Err(error) = exchange.unmake(&old) {
                tracing::warn!(
                    %error,
                    "loading a profile failed, and a folder of the profile before could not be restored"
                );
            }
        }
    }
    outcome?;
    Ok(left_out)
}

/// No link leads elsewhere: what Chromium's user may write to is not to be trusted.
fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, FOLDER | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

impl Exchange {
    /// None where neither has the folder.
    fn of(
        folder: Folder,
        unpacked: &OwnedFd,
        user_data: &OwnedFd,
        owner: Owner,
    ) -> rustix::io::Result<Option<Self>> {
        let Folder { above, name, open } = folder;
        let new = match open_plain(unpacked, folder.path().as_ref(), OFlags::PATH) {
            Ok(_) => Some(open_plain(unpacked, above.as_ref(), FOLDER)?),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(errno),
        };
        let place = match open_plain(user_data, above.as_ref(), FOLDER) {
            Err(Errno::NOENT) if new.is_some() => make_folder(user_data, above, owner)?,
            Err(Errno::NOENT) => return Ok(None),
            other => other?,
        };
        Ok(Some(Self { name, open, new, place }))
    }

    fn make(&self, old: &OwnedFd) -> rustix::io::Result<()> {
        if_there(renameat(&self.place, self.name, old, self.name))?;
        match &self.new {
            Some(new) => renameat(new, self.name, &self.place, self.name),
            None => Ok(()),
        }
    }

    /// Only where nothing is yet.
    fn make_once(&self) -> rustix::io::Result<()> {
        match &self.new {
            Some(new) => {
                renameat_with(new, self.name, &self.place, self.name, RenameFlags::NOREPLACE)
            }
            None => Ok(()),
        }
    }

    /// Also of one that was made half.
    fn unmake(&self, old: &OwnedFd) -> rustix::io::Result<()> {
        if let Some(new) = &self.new
            && matches!(open_plain(new, self.name.as_ref(), OFlags::PATH), Err(Errno::NOENT))
        {
            if_there(renameat(&self.place, self.name, new, self.name))?;
        }
        if_there(renameat(old, self.name, &self.place, self.name))
    }
}

/// Makes the folders of `path` that are missing, for Chromium alone as it makes its own.
fn make_folder(from: &OwnedFd, path: &str, owner: Owner) -> rustix::io::Result<OwnedFd> {
    let mut dir = open_plain(from, ".".as_ref(), FOLDER)?;
    for part in path.split('/') {
        let made = match mkdirat(&dir, part, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(errno),
        };
        dir = open_plain(&dir, part.as_ref(), FOLDER)?;
        if made {
            owner.take(&dir)?;
        }
    }
    Ok(dir)
}

fn if_there(renamed: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match renamed {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Scene(tempfile::TempDir);

    impl Scene {
        fn new() -> Self {
            let scene = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(scene.path("unpacked")).unwrap();
            fs::create_dir_all(scene.path("data/Default")).unwrap();
            scene
        }

        fn path(&self, path: &str) -> std::path::PathBuf {
            self.0.path().join(path)
        }

        fn put(&self, path: &str, text: &str) {
            fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
            fs::write(self.path(path), text).unwrap();
        }

        fn read(&self, path: &str) -> Option<String> {
            fs::read_to_string(self.path(path)).ok()
        }

        fn exchange(&self) -> io::Result<Vec<&'static str>> {
            exchange(&self.path("unpacked"), &self.path("old"), &self.path("data"), Owner::nobody())
        }
    }

    #[test]
    fn folders_of_the_profile_replace_all_there_were() {
        let scene = Scene::new();
        scene.put("unpacked/Default/Local Storage/x", "new");
        scene.put("unpacked/Default/Service Worker/CacheStorage/x", "new");
        scene.put("data/Default/Local Storage/x", "old");
        scene.put("data/Default/Local Storage/y", "old");
        scene.put("data/Default/IndexedDB/x", "old");
        scene.put("data/Default/Preferences", "kept");
        check(&scene.path("unpacked")).unwrap();
        assert!(scene.exchange().unwrap().is_empty());
        assert_eq!(scene.read("data/Default/Local Storage/x").unwrap(), "new");
        assert_eq!(scene.read("data/Default/Local Storage/y"), None);
        assert_eq!(scene.read("data/Default/Service Worker/CacheStorage/x").unwrap(), "new");
        assert!(!scene.path("data/Default/IndexedDB").exists());
        assert_eq!(scene.read("data/Default/Preferences").unwrap(), "kept");
        assert_eq!(scene.read("old/IndexedDB/x").unwrap(), "old");
    }

    #[test]
    fn nothing_is_exchanged_when_one_cannot_be() {
        let scene = Scene::new();
        scene.put("unpacked/Default/Local Storage/x", "new");
        scene.put("unpacked/Default/WebStorage/x", "new");
        scene.put("unpacked/Default/Service Worker/CacheStorage/x", "new");
        scene.put("data/Default/Local Storage/x", "old");
        scene.put("data/Default/IndexedDB/x", "old");
        scene.put("elsewhere/CacheStorage/x", "another's");
        // What runs in the session may have put a link there.
        let link = scene.path("data/Default/Service Worker");
        std::os::unix::fs::symlink(scene.path("elsewhere"), link).unwrap();
        scene.exchange().unwrap_err();
        assert_eq!(scene.read("data/Default/Local Storage/x").unwrap(), "old");
        assert_eq!(scene.read("data/Default/IndexedDB/x").unwrap(), "old");
        assert!(!scene.path("data/Default/WebStorage").exists());
        assert_eq!(scene.read("elsewhere/CacheStorage/x").unwrap(), "another's");
        assert_eq!(scene.read("unpacked/Default/WebStorage/x").unwrap(), "new");
    }

    #[test]
    fn what_has_numbers_is_put_only_where_nothing_is() {
        let scene = Scene::new();
        assert!(!is_used(&scene.path("data")));
        scene.put("unpacked/Default/WebStorage/7/x", "new");
        scene.put("unpacked/Default/File System/000/x", "new");
        scene.put("data/Default/Local Storage/x", "old");
        assert!(!is_used(&scene.path("data")));
        scene.put("data/Default/WebStorage/QuotaManager", "old");
        assert!(is_used(&scene.path("data")));
        assert_eq!(scene.exchange().unwrap(), ["WebStorage"]);
        assert_eq!(scene.read("data/Default/WebStorage/QuotaManager").unwrap(), "old");
        assert_eq!(scene.read("data/Default/WebStorage/7/x"), None);
        assert_eq!(scene.read("data/Default/File System/000/x").unwrap(), "new");
        assert!(!scene.path("data/Default/Local Storage").exists());
    }

    #[test]
    fn files_are_no_folders() {
        let scene = Scene::new();
        scene.put("unpacked/Default/IndexedDB", "a file");
        let refused = check(&scene.path("unpacked")).unwrap_err().to_string();
        assert_eq!(refused, "its Default/IndexedDB is no folder");
    }
}
