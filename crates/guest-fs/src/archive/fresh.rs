//! Unpacking into a folder that does not exist yet.

use std::fs::{DirBuilder, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use browserd_guest_session::disk::Disk;
use rustix::fs::{Mode, OFlags};

use super::super::folders::FOLDER_MODE;
use super::super::owner::Owner;
use super::{Limits, Refused, Staging, untar, unzip};

/// Unpacks the zip `archive` into `to`, a folder that must not exist yet, in one that nobody else can
/// enter. Files and folders only; they are `owner`'s, with permissions 644 and 755. When it fails, `to`
/// stays behind, for the caller to remove with the folder it is in.
pub fn unzip_fresh(
    archive: &File,
    to: &Path,
    limits: Limits,
    owner: Owner,
    disk: Disk,
) -> Result<(), Refused> {
    let mut staging = Staging::new(make(to, owner)?, owner, limits, disk)?.plain();
    unzip(archive, &mut staging)?;
    staging.merge()
}

/// As [`unzip_fresh`], of an `archive` of `size` bytes that is a tar with zstd. Of its files and folders
/// only those come out that are `wanted` by the parts of their names; the rest is looked at all the same,
/// and what would be refused is.
pub fn untar_fresh(
    archive: &File,
    size: u64,
    to: &Path,
    wanted: fn(&[&[u8]]) -> bool,
    owner: Owner,
    disk: Disk,
) -> Result<(), Refused> {
    let (folder, limits) = (make(to, owner)?, Limits::of(size));
    let mut staging = Staging::new(folder, owner, limits, disk)?.plain().only(wanted);
    untar(archive, 0, &mut staging)?;
    staging.merge()
}

fn make(to: &Path, owner: Owner) -> Result<OwnedFd, Refused> {
    DirBuilder::new().mode(FOLDER_MODE.as_raw_mode()).create(to)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(to, flags, Mode::empty())?;
    owner.take(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Cursor, Seek, Write};
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const LIMITS: Limits = Limits { entries: 10, bytes: 1 << 20, depth: 4 };

    fn packed(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            let options = SimpleFileOptions::default().unix_permissions(0o777);
            zip.start_file(*name, options).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn unpacked(zip: &[u8]) -> Result<tempfile::TempDir, Refused> {
        let dir = tempfile::tempdir().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(zip).unwrap();
        file.rewind().unwrap();
        let to = dir.path().join("x");
        let done = unzip_fresh(&file, &to, LIMITS, Owner::nobody(), Disk::unlimited());
        if done.is_err() {
            assert_eq!(fs::read_dir(to).unwrap().count(), 0, "something is left");
        }
        done.map(|()| dir)
    }

    #[test]
    fn files_and_folders_come_out() {
        let dir = unpacked(&packed(&[("manifest.json", b"{}"), ("a/b/c.js", b"1")])).unwrap();
        let at = |name: &str| dir.path().join("x").join(name);
        assert_eq!(fs::read(at("a/b/c.js")).unwrap(), b"1");
        assert_eq!(fs::read(at("manifest.json")).unwrap(), b"{}");
        let mode = |name| fs::metadata(at(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("a/b"), mode("a/b/c.js"), mode("")), (0o755, 0o644, 0o755));
    }

    #[test]
    fn what_is_refused() {
        let refused = |zip: &[u8], why: &str| match unpacked(zip) {
            Err(Refused::Archive(words)) => assert!(words.contains(why), "{words}"),
            other => panic!("{why}: {other:?}"),
        };
        refused(&packed(&[("../x", b"")]), "leads out");
        refused(&packed(&[("/etc/passwd", b"")]), "absolute");
        refused(&packed(&[("a/b/c/d/e", b"")]), "too deep");
        refused(&packed(&[("a", b"1"), ("a/b", b"2")]), "no folder");
        let many: Vec<String> = (0..11).map(|n| n.to_string()).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
        refused(&packed(&many), "more than 10 entries");
        let bomb = packed(&[("bomb", &vec![0; 2 << 20])]);
        assert!(bomb.len() < 1 << 14);
        refused(&bomb, "unpacks to more than");
        for target in ["/etc/passwd", "b"] {
            let mut link = ZipWriter::new(Cursor::new(Vec::new()));
            link.add_symlink("a", target, SimpleFileOptions::default()).unwrap();
            refused(&link.finish().unwrap().into_inner(), "neither a file nor a folder");
        }
        refused(b"no zip", "");
    }

    proptest! {
        #[test]
        fn any_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = unpacked(&bytes);
        }
    }
}
