//! The targets of this module.

use std::fs::{self, File};
use std::io::{Seek, Write};

use browserd_guest_session::disk::Disk;
use rustix::fs::{MemfdFlags, memfd_create};

use super::{Limits, Refused, Staging, untar, unzip, unzip_fresh};
use crate::fuzzing::scratch::Scratch;
use crate::fuzzing::tree::Tree;
use crate::owner::Owner;

/// Of an extension, here.
const LIMITS: Limits = Limits { entries: 32, bytes: 1 << 20, depth: 4 };

/// A zip archive of a stranger.
pub(crate) fn zip_archive(data: &[u8]) {
    unpacked(data, unzip);
}

/// A tar archive of a stranger. The first byte says whether it is compressed already, so that what is
/// found is found behind the decompression too, and how much of names is taken away.
pub(crate) fn tar_archive(data: &[u8]) {
    let Some((how, archive)) = data.split_first() else { return };
    let strip = usize::from(how >> 1) % 4;
    let unpack = |file: &File, staging: &mut Staging| untar(file, strip, staging);
    match how % 2 {
        0 => unpacked(&zstd::encode_all(archive, 1).unwrap(), unpack),
        _ => unpacked(archive, unpack),
    }
}

/// All of it appears in the folder it is for, within its limits, or nothing of it does; and nothing
/// appears elsewhere.
fn unpacked(archive: &[u8], unpack: impl FnOnce(&File, &mut Staging) -> Result<(), Refused>) {
    let scratch = Scratch::new();
    let dest = scratch.path().join("dest");
    fs::create_dir(&dest).unwrap();
    fs::write(scratch.path().join("beside"), "kept").unwrap();
    let mut file = File::from(memfd_create("archive", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(archive).unwrap();
    file.rewind().unwrap();
    let folder = File::open(&dest).unwrap().into();
    let mut staging =
        Staging::new(folder, Owner::nobody(), Limits::FEW, Disk::unlimited()).unwrap();
    let outcome = unpack(&file, &mut staging).and_then(|()| staging.merge());
    let tree = Tree::of(&dest, true);
    match outcome {
        Ok(()) => {
            assert!(tree.entries as u64 <= Limits::FEW.entries, "{tree:?}");
            // A file with two names is counted with each.
            assert!(tree.bytes <= Limits::FEW.bytes * Limits::FEW.entries, "{tree:?}");
            assert!(tree.depth <= Limits::FEW.depth);
        }
        Err(refused) => {
            assert_eq!(tree.entries, 0, "{refused}");
            assert!(refused.to_string().len() < 4096);
        }
    }
    assert_eq!(fs::read(scratch.path().join("beside")).unwrap(), b"kept");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 2);
}

/// An extension's archive: what comes out of it lies in its folder and within its limits, and is
/// files and folders only.
pub(crate) fn extension_zip(data: &[u8]) {
    let scratch = Scratch::new();
    let to = scratch.path().join("unpacked");
    let mut archive = File::from(memfd_create("archive", MemfdFlags::CLOEXEC).unwrap());
    archive.write_all(data).unwrap();
    archive.rewind().unwrap();
    let outcome = unzip_fresh(&archive, &to, LIMITS, Owner::nobody(), Disk::unlimited());
    let beside = std::fs::read_dir(scratch.path()).unwrap();
    assert!(beside.flatten().all(|found| found.file_name() == "unpacked"));
    if to.exists() {
        let tree = Tree::of(&to, false);
        assert!(tree.bytes <= LIMITS.bytes && tree.depth <= LIMITS.depth, "{tree:?}");
        assert!(tree.entries as u64 <= LIMITS.entries, "{tree:?}");
    }
    if let Err(refused) = outcome {
        assert!(refused.to_string().len() < 4096);
    }
}
