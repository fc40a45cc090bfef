//! Zip archives from outside, unpacked into a fresh folder that nobody else can enter yet.
//!
//! Owns what an archive may be: how much comes out of it, what its entries may be called, that there
//! are only files and folders in it. Blocking; knows no HTTP.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use zip::ZipArchive;

/// How much may come out of an archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Entries.
    pub(crate) entries: usize,
    /// Bytes of all files together.
    pub(crate) bytes: u64,
    /// Folders within folders.
    pub(crate) depth: usize,
}

/// Why an archive was not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Its content is not acceptable, in words that go on after "the archive".
    #[error("{0}")]
    Archive(String),
    /// The kernel refused something.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

fn archive(words: impl Into<String>) -> Refused {
    Refused::Archive(words.into())
}

fn entry(name: &str, words: &str) -> Refused {
    archive(format!("has an entry {:?} that {words}", name.chars().take(200).collect::<String>()))
}

/// Unpacks `from` into `to`, which must not exist yet. On failure what was unpacked stays behind, for
/// the caller to remove with the folder it is in. `room` is asked before anything is written.
pub(crate) fn unzip(
    from: impl Read + Seek,
    to: &Path,
    limits: Limits,
    room: impl Fn(u64) -> io::Result<()>,
) -> Result<(), Refused> {
    let mut zip = ZipArchive::new(from).map_err(|error| archive(format!("is no zip: {error}")))?;
    if zip.len() > limits.entries {
        return Err(archive(format!("has over {} entries", limits.entries)));
    }
    make_folder(to)?;
    let mut left = limits.bytes;
    let mut folders = HashSet::new();
    for at in 0..zip.len() {
        let mut file =
            zip.by_index(at).map_err(|error| archive(format!("cannot be read: {error}")))?;
        let name = file.name().to_owned();
        let path = to.join(inside(&name, limits.depth)?);
        if file.is_dir() {
            make_folders(to, &path, &mut folders, &name)?;
            continue;
        }
        if !file.is_file() || file.is_symlink() {
            return Err(entry(&name, "is neither file nor folder"));
        }
        if let Some(parent) = path.parent() {
            make_folders(to, parent, &mut folders, &name)?;
        }
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)
            .map_err(|error| taken(error, &name))?;
        // What the archive says about sizes is not believed.
        let copied = copy(&mut file, &mut out, left, &name, &room)?;
        left -= copied;
    }
    Ok(())
}

/// Copies at most `left` bytes.
fn copy(
    from: &mut impl Read,
    to: &mut File,
    left: u64,
    name: &str,
    room: &impl Fn(u64) -> io::Result<()>,
) -> Result<u64, Refused> {
    let (mut buffer, mut copied) = (vec![0; 64 << 10], 0);
    loop {
        let read = from
            .read(&mut buffer)
            .map_err(|error| entry(name, &format!("cannot be unpacked: {error}")))?;
        if read == 0 {
            return Ok(copied);
        }
        copied += read as u64;
        if copied > left {
            return Err(archive("unpacks to more than is allowed"));
        }
        room(read as u64)?;
        to.write_all(&buffer[..read])?;
    }
}

/// The name as a path that leads nowhere but down.
fn inside(name: &str, depth: usize) -> Result<PathBuf, Refused> {
    if name.contains(['\0', '\\']) {
        return Err(entry(name, "has a backslash or NUL in its name"));
    }
    let mut path = PathBuf::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) if part.len() <= 255 => path.push(part),
            Component::CurDir => {}
            _ => return Err(entry(name, "leads out of the folder, or has too long a name")),
        }
    }
    if path.as_os_str().is_empty() {
        return Err(entry(name, "has no name"));
    }
    if path.components().count() > depth {
        return Err(entry(name, "lies too deep"));
    }
    Ok(path)
}

fn make_folders(
    top: &Path,
    folder: &Path,
    made: &mut HashSet<PathBuf>,
    name: &str,
) -> Result<(), Refused> {
    if folder == top || made.contains(folder) {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folders(top, parent, made, name)?;
    }
    make_folder(folder).map_err(|error| taken(error, name))?;
    made.insert(folder.to_owned());
    Ok(())
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(folder)
}

fn taken(error: io::Error, name: &str) -> Refused {
    match error.kind() {
        io::ErrorKind::AlreadyExists => entry(name, "is there twice"),
        io::ErrorKind::NotADirectory => entry(name, "lies in what is a file"),
        _ => error.into(),
    }
}

/// Gives everything below `folder`, and it, to `uid` and `gid`. The folder is still ours alone.
pub(crate) fn give(folder: &Path, uid: u32, gid: u32) -> io::Result<()> {
    std::os::unix::fs::lchown(folder, Some(uid), Some(gid))?;
    for found in fs::read_dir(folder)? {
        let found = found?;
        if found.file_type()?.is_dir() {
            give(&found.path(), uid, gid)?;
        } else {
            std::os::unix::fs::lchown(found.path(), Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const LIMITS: Limits = Limits { entries: 10, bytes: 1 << 20, depth: 4 };

    fn packed(entries: &[(&str, &[u8])]) -> Cursor<Vec<u8>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap()
    }

    fn unpacked(zip: Cursor<Vec<u8>>) -> Result<tempfile::TempDir, Refused> {
        let dir = tempfile::tempdir().unwrap();
        unzip(zip, &dir.path().join("x"), LIMITS, |_| Ok(())).map(|()| dir)
    }

    #[test]
    fn files_and_folders_come_out() {
        let dir = unpacked(packed(&[("manifest.json", b"{}"), ("a/b/c.js", b"1")])).unwrap();
        assert_eq!(fs::read(dir.path().join("x/a/b/c.js")).unwrap(), b"1");
        assert_eq!(fs::read(dir.path().join("x/manifest.json")).unwrap(), b"{}");
    }

    #[test]
    fn what_is_refused() {
        for name in ["../x", "/etc/passwd", "a/../../x", "a\\b", "a/b/c/d/e", "."] {
            assert!(matches!(unpacked(packed(&[(name, b"")])), Err(Refused::Archive(_))), "{name}");
        }
        let inside_a_file = packed(&[("a", b"1"), ("a/b", b"2")]);
        assert!(matches!(unpacked(inside_a_file), Err(Refused::Archive(_))));
        let many: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
        assert!(matches!(unpacked(packed(&many)), Err(Refused::Archive(_))));
        let bomb = packed(&[("bomb", &vec![0; 2 << 20])]);
        assert!(bomb.get_ref().len() < 1 << 14);
        assert!(matches!(unpacked(bomb), Err(Refused::Archive(_))));
        let mut link = ZipWriter::new(Cursor::new(Vec::new()));
        link.add_symlink("a", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        assert!(matches!(unpacked(link.finish().unwrap()), Err(Refused::Archive(_))));
        assert!(matches!(unpacked(Cursor::new(b"no zip".to_vec())), Err(Refused::Archive(_))));
    }

    proptest! {
        #[test]
        fn names_never_lead_out(name in "[a./\\\\\0~]{0,12}") {
            if let Ok(path) = inside(&name, 9) {
                prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
            }
        }

        #[test]
        fn any_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = unpacked(Cursor::new(bytes));
        }

        #[test]
        fn a_damaged_zip_is_harmless(at in 0usize..200, with in any::<u8>()) {
            let mut zip = packed(&[("manifest.json", b"{\"a\": 1}"), ("a/b.js", b"text text text")]);
            let length = zip.get_ref().len();
            zip.get_mut()[at % length] = with;
            let _ = unpacked(zip);
        }
    }
}
