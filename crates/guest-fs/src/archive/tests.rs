//! Archives there and back, and archives of strangers.

use std::fs::{self, File};
use std::io::{Cursor, Read, Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use browserd_guest_session::disk::Disk;
use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;
use crate::owner::Owner;

fn spool(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

fn unpack(
    dest: &Path,
    bytes: &[u8],
    by: impl FnOnce(&File, &mut Staging) -> Result<(), Refused>,
) -> Result<(), String> {
    let dir = File::open(dest).unwrap().into();
    let mut staging =
        Staging::new(dir, Owner::nobody(), Limits::of(bytes.len() as u64), Disk::unlimited())
            .unwrap();
    by(&spool(bytes), &mut staging)
        .and_then(|()| staging.merge())
        .map_err(|refused| refused.to_string())
}

fn unzip_to(dest: &Path, bytes: &[u8]) -> Result<(), String> {
    unpack(dest, bytes, unzip)
}

fn untar_to(dest: &Path, bytes: &[u8], strip: usize) -> Result<(), String> {
    unpack(dest, bytes, |file, staging| untar(file, strip, staging))
}

fn packed(
    from: &Path,
    packer: impl FnOnce(std::os::fd::OwnedFd, &mut Outlet) -> std::io::Result<()> + Send + 'static,
) -> Vec<u8> {
    let dir = File::open(from).unwrap().into();
    let (mut outlet, mut pieces) = outlet();
    let thread = std::thread::spawn(move || packer(dir, &mut outlet));
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.blocking_recv() {
        bytes.extend_from_slice(&piece.unwrap());
    }
    thread.join().unwrap().unwrap();
    bytes
}

/// Every name below `dir` with what it is.
fn tree(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(at) = waiting.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap();
            let what = if kind.is_dir() {
                waiting.push(path.clone());
                format!("folder {:o}", kind.permissions().mode() & 0o777)
            } else if kind.is_symlink() {
                format!("link {}", fs::read_link(&path).unwrap().display())
            } else {
                let content = fs::read(&path).unwrap();
                format!(
                    "file {:o} {} {:?}",
                    kind.permissions().mode() & 0o777,
                    content.len(),
                    content.first()
                )
            };
            found.push((path.strip_prefix(dir).unwrap().to_string_lossy().into_owned(), what));
        }
    }
    found.sort();
    found
}

fn sample() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("a/b")).unwrap();
    fs::create_dir_all(at("empty")).unwrap();
    fs::write(at("a/b/ünï"), "x").unwrap();
    fs::write(at("a/program"), vec![7; 300_000]).unwrap();
    fs::set_permissions(at("a/program"), PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(at("nothing"), "").unwrap();
    symlink("b/ünï", at("a/link")).unwrap();
    dir
}

#[test]
fn there_and_back() {
    let source = sample();
    let zip = packed(source.path(), pack_zip);
    let dest = tempfile::tempdir().unwrap();
    unzip_to(dest.path(), &zip).unwrap();
    assert_eq!(tree(dest.path()), tree(source.path()));
    for level in [Level::Fastest, Level::Default, Level::Better, Level::Best] {
        let tar = packed(source.path(), move |dir, outlet| pack_tar(dir, level, outlet));
        let dest = tempfile::tempdir().unwrap();
        untar_to(dest.path(), &tar, 0).unwrap();
        assert_eq!(tree(dest.path()), tree(source.path()));
    }
    // Once more into the same folder: what is there is replaced.
    unzip_to(dest.path(), &zip).unwrap();
    assert_eq!(tree(dest.path()), tree(source.path()));
}

fn zip_of(build: impl FnOnce(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    build(&mut zip);
    zip.finish().unwrap().into_inner()
}

fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
}

/// The archive is refused, nothing is left in the destination and nothing appears beside it.
fn refused(unpack: impl FnOnce(&Path) -> Result<(), String>, why: &str) {
    let outer = tempfile::tempdir().unwrap();
    let dest = outer.path().join("dest");
    fs::create_dir(&dest).unwrap();
    let error = unpack(&dest).unwrap_err();
    assert!(error.contains(why), "{error}");
    assert_eq!(tree(outer.path()).len(), 1, "{:?}", tree(outer.path()));
}

#[test]
fn zips_of_strangers() {
    for (name, why) in [
        ("../evil", "leads out"),
        ("a/../../evil", "leads out"),
        ("/etc/evil", "absolute"),
        ("a\\..\\evil", "backslash"),
    ] {
        let zip = zip_of(|zip| {
            zip.start_file("good", options()).unwrap();
            zip.write_all(b"x").unwrap();
            zip.start_file(name, options()).unwrap();
            zip.write_all(b"x").unwrap();
        });
        refused(|dest| unzip_to(dest, &zip), why);
    }
    for target in ["/etc", "..", "../x", "a/../.."] {
        let zip = zip_of(|zip| zip.add_symlink("link", target, options()).unwrap());
        refused(|dest| unzip_to(dest, &zip), "lead out");
    }
    let through = zip_of(|zip| {
        zip.add_directory("real", options()).unwrap();
        zip.add_symlink("link", "real", options()).unwrap();
        zip.start_file("link/file", options()).unwrap();
    });
    refused(|dest| unzip_to(dest, &through), "no folder of it");
    let twice = zip_of(|zip| {
        zip.start_file("a/x", options()).unwrap();
        zip.start_file("a/./x", options()).unwrap();
    });
    refused(|dest| unzip_to(dest, &twice), "twice");
    let bomb = zip_of(|zip| {
        zip.start_file("zeros", options()).unwrap();
        let zeros = vec![0; 1 << 20];
        for _ in 0..300 {
            zip.write_all(&zeros).unwrap();
        }
    });
    assert!(bomb.len() < 1 << 20);
    refused(|dest| unzip_to(dest, &bomb), "unpacks to more than");
    refused(|dest| unzip_to(dest, b"no zip at all"), "");
    refused(|dest| unzip_to(dest, &bomb[..bomb.len() - 30]), "");
}

#[test]
fn links_in_the_destination_are_not_followed() {
    let outer = tempfile::tempdir().unwrap();
    let (dest, other) = (outer.path().join("dest"), outer.path().join("other"));
    fs::create_dir(&dest).unwrap();
    fs::create_dir(&other).unwrap();
    symlink(&other, dest.join("a")).unwrap();
    let zip = zip_of(|zip| zip.start_file("a/file", options()).unwrap());
    assert!(unzip_to(&dest, &zip).unwrap_err().contains("not followed"));
    assert_eq!(tree(&other), []);
    // A file that is a link there is replaced, not written through.
    fs::write(other.join("kept"), "kept").unwrap();
    symlink(other.join("kept"), dest.join("b")).unwrap();
    unzip_to(&dest, &zip_of(|zip| zip.start_file("b", options()).unwrap())).unwrap();
    assert_eq!(fs::read_to_string(other.join("kept")).unwrap(), "kept");
    assert!(fs::symlink_metadata(dest.join("b")).unwrap().is_file());
}

fn tar_of(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    build(&mut tar);
    zstd::encode_all(&tar.into_inner().unwrap()[..], 1).unwrap()
}

/// A header with a name no builder would take.
fn header(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    let field = &mut header.as_old_mut().name;
    field[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header
}

#[test]
fn tars_of_strangers() {
    use tar::EntryType;
    for (name, why) in
        [("../evil", "leads out"), ("/evil", "absolute"), ("a/../../evil", "leads out")]
    {
        let tar =
            tar_of(|tar| tar.append(&header(name, EntryType::Regular, 1), &b"x"[..]).unwrap());
        refused(|dest| untar_to(dest, &tar, 0), why);
        refused(|dest| untar_to(dest, &tar, 1), why);
    }
    for kind in [EntryType::Fifo, EntryType::Char, EntryType::Block] {
        let tar = tar_of(|tar| tar.append(&header("x", kind, 0), &b""[..]).unwrap());
        refused(|dest| untar_to(dest, &tar, 0), "neither a file");
    }
    for (kind, target, why) in [
        (EntryType::Symlink, "/etc/passwd", "lead out"),
        (EntryType::Symlink, "../x", "lead out"),
        (EntryType::Link, "/etc/passwd", "absolute"),
        (EntryType::Link, "missing", "no earlier file"),
    ] {
        let tar = tar_of(|tar| {
            let mut header = header("x", kind, 0);
            header.set_link_name_literal(target).unwrap();
            header.set_cksum();
            tar.append(&header, &b""[..]).unwrap();
        });
        refused(|dest| untar_to(dest, &tar, 0), why);
    }
    // A name of a gigabyte, which compresses to nothing.
    let tar = tar_of(|tar| {
        let name = header("long", EntryType::GNULongName, 100 << 20);
        tar.append(&name, std::io::repeat(b'x').take(100 << 20)).unwrap();
    });
    refused(|dest| untar_to(dest, &tar, 0), "too large");
    let whole = tar_of(|tar| {
        tar.append(&header("x", EntryType::Regular, 100_000), std::io::repeat(b'x').take(100_000))
            .unwrap();
    });
    refused(|dest| untar_to(dest, &whole[..whole.len() - 5], 0), "");
    refused(|dest| untar_to(dest, b"no archive", 0), "");
}

#[test]
fn hard_links_and_stripping() {
    let tar = tar_of(|tar| {
        tar.append(&header("top/a/file", tar::EntryType::Regular, 1), &b"x"[..]).unwrap();
        let mut link = header("top/b", tar::EntryType::Link, 0);
        link.set_link_name_literal("top/a/file").unwrap();
        link.set_cksum();
        tar.append(&link, &b""[..]).unwrap();
    });
    let dest = tempfile::tempdir().unwrap();
    untar_to(dest.path(), &tar, 1).unwrap();
    let names: Vec<String> = tree(dest.path()).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "a/file", "b"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever bytes come, nothing is left and nothing panics.
    #[test]
    fn damage_is_refused_whole(at in 0..400usize, byte in any::<u8>()) {
        let source = tempfile::tempdir().unwrap();
        fs::write(source.path().join("file"), "some content").unwrap();
        fs::create_dir(source.path().join("dir")).unwrap();
        let mut zip = packed(source.path(), pack_zip);
        let mut tar = packed(source.path(), |dir, outlet| pack_tar(dir, Level::Default, outlet));
        let (in_zip, in_tar) = (at % zip.len(), at % tar.len());
        zip[in_zip] = byte;
        tar[in_tar] = byte;
        for (bytes, is_zip) in [(zip, true), (tar, false)] {
            let dest = tempfile::tempdir().unwrap();
            let outcome = if is_zip { unzip_to(dest.path(), &bytes) } else { untar_to(dest.path(), &bytes, 0) };
            if outcome.is_err() {
                prop_assert_eq!(tree(dest.path()), []);
            }
        }
    }
}
