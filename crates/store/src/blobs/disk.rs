//! Blobs as files below a folder.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use browserd_api::ProjectId;
use rustix::fs::{AtFlags, CWD};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::key::{PROFILES, REPLAYS};
use super::{BlobKey, BlobReader, Blobs};

/// Where files are until they are whole; keys have no part that begins with a dot.
const UNFINISHED: &str = ".unfinished";

/// Blobs below one folder, on one filesystem. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DiskBlobs {
    folder: PathBuf,
    next: Arc<AtomicU64>,
    /// Bytes of the filesystem that are kept free.
    kept_free: u64,
}

/// How often a folder is made anew that goes before a file is in it.
const FOLDER_TRIES: u32 = 100;

/// Bytes that are written before it is looked again whether they fit.
const PIECE: usize = 256 << 10;

impl DiskBlobs {
    /// Opens the folder, makes it (mode 0700) if it is not there, and clears away what an earlier
    /// program left unfinished. One program at a time.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        make_folder(&folder)?;
        let unfinished = folder.join(UNFINISHED);
        make_folder(&unfinished)?;
        for left in std::fs::read_dir(&unfinished)? {
            std::fs::remove_file(left?.path())?;
        }
        move_below_projects(&folder)?;
        remove_empty(&folder.join(BlobKey::PROJECTS));
        Ok(Self { folder, next: Arc::default(), kept_free: 0 })
    }

    /// The same, but what would leave less than `bytes` free on the filesystem is refused
    /// (`StorageFull`).
    #[must_use]
    pub fn keep_free(self, bytes: u64) -> Self {
        Self { kept_free: bytes, ..self }
    }

    /// Whether so much more fits.
    fn room_for(&self, bytes: u64) -> io::Result<()> {
        if self.kept_free == 0 {
            return Ok(());
        }
        let disk = rustix::fs::statvfs(&self.folder)?;
        let available = disk.f_bavail.saturating_mul(disk.f_frsize);
        if available.saturating_sub(bytes) >= self.kept_free {
            return Ok(());
        }
        let why = format!(
            "{} has {available} bytes left, {bytes} are needed and {} are kept free",
            self.folder.display(),
            self.kept_free
        );
        Err(io::Error::new(io::ErrorKind::StorageFull, why))
    }

    fn path(&self, key: &BlobKey) -> PathBuf {
        self.folder.join(key.as_str())
    }

    fn unfinished(&self) -> PathBuf {
        let nth = self.next.fetch_add(1, Ordering::Relaxed);
        self.folder.join(UNFINISHED).join(nth.to_string())
    }

    /// Gives a whole file its name.
    fn name(&self, unfinished: &Path, key: &BlobKey) -> io::Result<()> {
        let path = self.path(key);
        let folder = path.parent().unwrap_or(&self.folder);
        let mut tries = 0..FOLDER_TRIES;
        loop {
            let named = make_folder(folder).and_then(|()| std::fs::rename(unfinished, &path));
            match named {
                // Whoever removed the last file there took the folder as well just now.
                Err(error) if absent(&error) && tries.next().is_some() => {}
                named => break named?,
            }
        }
        // The name is in the folder, which is to survive a loss of power as well.
        match File::open(folder) {
            Ok(folder) => folder.sync_all(),
            // Removed again already, and its folder with it.
            Err(error) if absent(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes a file, and what folders it leaves empty: whose they were may be gone for good.
    fn remove(&self, key: &BlobKey) -> io::Result<()> {
        let path = self.path(key);
        match std::fs::remove_file(&path) {
            Err(error) if !absent(&error) => return Err(error),
            _ => {}
        }
        let folders = path.ancestors().skip(1).take_while(|folder| *folder != self.folder);
        for folder in folders {
            // One with anything in it is not removed: the kernel looks and removes in one.
            if std::fs::remove_dir(folder).is_err_and(|error| !absent(&error)) {
                break;
            }
        }
        Ok(())
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes folders without files, which earlier versions left behind; nobody else is there yet.
fn remove_empty(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    // One with anything in it stays.
    let _ = std::fs::remove_dir(folder);
}

/// Moves what was kept before there were projects to the default one's, where keys say it is. Should this
/// be interrupted, the next one goes on.
fn move_below_projects(folder: &Path) -> io::Result<()> {
    for kind in [REPLAYS, PROFILES] {
        let from = folder.join(kind);
        let entries = match std::fs::read_dir(&from) {
            Ok(entries) => entries,
            Err(error) if absent(&error) => continue,
            Err(error) => return Err(error),
        };
        let to = folder.join(BlobKey::PROJECTS).join(ProjectId::DEFAULT).join(kind);
        make_folder(&to)?;
        for entry in entries {
            let entry = entry?;
            std::fs::rename(entry.path(), to.join(entry.file_name()))?;
        }
        File::open(&to)?.sync_all()?;
        std::fs::remove_dir(&from)?;
    }
    Ok(())
}

/// Removes an unfinished file unless it was named.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Not there any more once it has its name.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Size of what is a regular file of at most `limit` bytes.
fn regular_size(file: &File, limit: u64) -> io::Result<u64> {
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    if about.len() > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(about.len())
}

/// Makes `to` a file with the content of an open one, for this user only: another name of the same file,
/// or else a copy, if there is room for it.
fn link_or_copy(
    mut file: &File,
    to: &Path,
    room: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let own = || -> io::Result<()> {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::fchown(file, Some(0), Some(0))?;
        }
        let opened = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(rustix::fs::linkat(CWD, opened, CWD, to, AtFlags::SYMLINK_FOLLOW)?)
    };
    // It may be on another filesystem, have no name at all, or belong to another user.
    if own().is_ok() {
        return file.sync_all();
    }
    room()?;
    let mut options = File::options();
    let mut copy = options.write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut file, &mut copy)?;
    copy.sync_all()
}

#[async_trait]
impl Blobs for DiskBlobs {
    async fn put(
        &self,
        key: &BlobKey,
        from: &mut (dyn AsyncRead + Send + Unpin),
        limit: u64,
    ) -> io::Result<u64> {
        let unfinished = Unfinished(self.unfinished());
        let mut options = tokio::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&unfinished.0).await?;
        let mut from = from.take(limit.saturating_add(1));
        let (mut piece, mut size) = (vec![0; PIECE], 0);
        loop {
            let read = from.read(&mut piece).await?;
            if read == 0 {
                break;
            }
            size += read as u64;
            if size > limit {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.room_for(read as u64)?;
            file.write_all(&piece[..read]).await?;
        }
        file.flush().await?;
        file.sync_all().await?;
        let (blobs, key) = (self.clone(), key.clone());
        blocking(move || blobs.name(&unfinished.0, &key)).await?;
        Ok(size)
    }

    async fn put_file(&self, key: &BlobKey, file: File, limit: u64) -> io::Result<u64> {
        let (blobs, key) = (self.clone(), key.clone());
        blocking(move || {
            let size = regular_size(&file, limit)?;
            let unfinished = Unfinished(blobs.unfinished());
            link_or_copy(&file, &unfinished.0, || blobs.room_for(size))?;
            blobs.name(&unfinished.0, &key)?;
            Ok(size)
        })
        .await
    }

    async fn size(&self, key: &BlobKey) -> io::Result<Option<u64>> {
        match tokio::fs::symlink_metadata(self.path(key)).await {
            Ok(about) if about.is_file() => Ok(Some(about.len())),
            Ok(_) => Ok(None),
            Err(error) if absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, key: &BlobKey, start: u64, length: u64) -> io::Result<Option<BlobReader>> {
        let mut file = match tokio::fs::File::open(self.path(key)).await {
            Ok(file) => file,
            Err(error) if absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        file.seek(io::SeekFrom::Start(start)).await?;
        Ok(Some(Box::new(file.take(length))))
    }

    async fn keys(&self, folder: &str) -> io::Result<Vec<BlobKey>> {
        let (root, first) = (self.folder.clone(), self.folder.join(folder));
        blocking(move || {
            let (mut keys, mut folders) = (Vec::new(), vec![first]);
            while let Some(folder) = folders.pop() {
                let entries = match std::fs::read_dir(&folder) {
                    Ok(entries) => entries,
                    Err(error) if absent(&error) => continue,
                    Err(error) => return Err(error),
                };
                for entry in entries {
                    let entry = entry?;
                    let kind = entry.file_type()?;
                    if kind.is_dir() {
                        folders.push(entry.path());
                    } else if kind.is_file() {
                        let path = entry.path();
                        let name = path.strip_prefix(&root).ok().and_then(Path::to_str);
                        // What has no key is none of ours.
                        keys.extend(name.and_then(|name| BlobKey::new(name).ok()));
                    }
                }
            }
            Ok(keys)
        })
        .await
    }

    async fn delete(&self, key: &BlobKey) -> io::Result<()> {
        let (blobs, key) = (self.clone(), key.clone());
        blocking(move || blobs.remove(&key)).await
    }
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use browserd_api::{ProfileId, ReplayId};

    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn passes_the_suite() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = DiskBlobs::open(folder.path().join("blobs")).unwrap();
        conformance::check_blobs(&blobs).await;
        let left = std::fs::read_dir(folder.path().join("blobs").join(UNFINISHED)).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[tokio::test]
    async fn a_file_is_kept_without_a_copy_where_it_has_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = DiskBlobs::open(folder.path().join("blobs")).unwrap();
        let (key, path) = (BlobKey::new("x").unwrap(), folder.path().join("film"));
        std::fs::write(&path, "film").unwrap();
        // Twice, as when the first time was interrupted before the other name was removed.
        for _ in 0..2 {
            let size = blobs.put_file(&key, File::open(&path).unwrap(), 100).await.unwrap();
            let kept = std::fs::metadata(blobs.path(&key)).unwrap();
            assert_eq!((size, kept.ino()), (4, std::fs::metadata(&path).unwrap().ino()));
            assert_eq!((kept.len(), kept.mode() & 0o777), (4, 0o600));
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(blobs.size(&key).await.unwrap(), Some(4));
        let folder = File::open(folder.path()).unwrap();
        blobs.put_file(&key, folder, 1 << 20).await.unwrap_err();
        assert_eq!(blobs.size(&key).await.unwrap(), Some(4), "what was there stays");
    }

    #[tokio::test]
    async fn what_is_kept_free_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("blobs");
        let (key, film) = (BlobKey::new("x").unwrap(), folder.path().join("film"));
        let roomy = DiskBlobs::open(path.clone()).unwrap().keep_free(1);
        roomy.put(&key, &mut &b"before"[..], 100).await.unwrap();
        let full = DiskBlobs::open(path.clone()).unwrap().keep_free(u64::MAX);
        let refused = full.put(&key, &mut &b"after"[..], 100).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull, "{refused}");
        assert_eq!(std::fs::read(path.join("x")).unwrap(), b"before", "what was there stays");
        assert_eq!(std::fs::read_dir(path.join(UNFINISHED)).unwrap().count(), 0);
        // Another name takes nothing; a copy of what has none does.
        std::fs::write(&film, "film").unwrap();
        full.put_file(&key, File::open(&film).unwrap(), 100).await.unwrap();
        let nameless = File::open(&film).unwrap();
        std::fs::remove_file(&film).unwrap();
        std::fs::remove_file(path.join("x")).unwrap();
        let refused = full.put_file(&key, nameless, 100).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull, "{refused}");
        assert_eq!(full.size(&key).await.unwrap(), None);
    }

    /// All folders below one.
    fn folders(path: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let own: Vec<_> = entries.filter(|path| path.is_dir()).collect();
        own.iter().cloned().chain(own.iter().flat_map(|path| folders(path))).collect()
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_profile_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let unfinished = [path.join(UNFINISHED)];
        // As versions before left it.
        std::fs::create_dir_all(path.join("projects/a/profiles/b")).unwrap();
        let blobs = DiskBlobs::open(path.clone()).unwrap();
        assert_eq!(folders(&path), unfinished);
        let archive = |version| {
            BlobKey::profile(&ProjectId::default(), &ProfileId::generate(), version).unwrap()
        };
        let (first, second) = (archive("1"), archive("2"));
        for key in [&first, &second] {
            blobs.put(key, &mut &b"x"[..], 1).await.unwrap();
        }
        blobs.delete(&first).await.unwrap();
        assert_eq!(blobs.size(&second).await.unwrap(), Some(1));
        for _ in 0..2 {
            blobs.delete(&second).await.unwrap();
        }
        assert_eq!(folders(&path), unfinished);
    }

    /// Whoever puts a file into a folder that is just being removed as empty gets it there all the same.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_folder_is_there_for_who_needs_it_when_its_last_file_goes() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = DiskBlobs::open(folder.path().to_owned()).unwrap();
        let (project, profile) = (ProjectId::default(), ProfileId::generate());
        let tasks = ["a", "b", "c"].map(|version| {
            let key = BlobKey::profile(&project, &profile, version).unwrap();
            let blobs = blobs.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    blobs.put(&key, &mut &b"x"[..], 1).await.unwrap();
                    assert_eq!(blobs.size(&key).await.unwrap(), Some(1));
                    blobs.delete(&key).await.unwrap();
                }
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(folders(folder.path()), [folder.path().join(UNFINISHED)]);
    }

    #[tokio::test]
    async fn what_was_left_unfinished_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let unfinished = folder.path().join(UNFINISHED);
        drop(DiskBlobs::open(folder.path().to_owned()).unwrap());
        std::fs::write(unfinished.join("7"), "half").unwrap();
        drop(DiskBlobs::open(folder.path().to_owned()).unwrap());
        assert_eq!(std::fs::read_dir(&unfinished).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_was_kept_before_there_were_projects_is_the_default_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let (project, replay, profile) =
            (ProjectId::default(), ReplayId::generate(), ProfileId::generate());
        let archives = path.join("profiles").join(profile.as_str());
        std::fs::create_dir_all(&archives).unwrap();
        std::fs::write(archives.join("v.tar.zst"), "state").unwrap();
        std::fs::create_dir(path.join("replays")).unwrap();
        std::fs::write(path.join(format!("replays/{replay}.mp4")), "film").unwrap();
        // Twice: there is nothing to move any more then.
        for _ in 0..2 {
            let blobs = DiskBlobs::open(path.clone()).unwrap();
            let archive = BlobKey::profile(&project, &profile, "v").unwrap();
            assert_eq!(blobs.size(&archive).await.unwrap(), Some(5));
            assert_eq!(blobs.size(&BlobKey::replay(&project, &replay)).await.unwrap(), Some(4));
            assert!(!path.join("replays").exists() && !path.join("profiles").exists());
        }
    }
}
