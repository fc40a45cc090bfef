//! Targets of the guest's small modules.

use std::fs::File;
use std::io::{Seek, Write};

use browserd_guest_session::disk::Disk;
use rustix::fs::{MemfdFlags, memfd_create};

use super::scratch::Scratch;
use super::tree::Tree;
use crate::fs::Owner;
use crate::fs::archive::{Limits, unzip_fresh};

const LIMITS: Limits = Limits { entries: 32, bytes: 1 << 20, depth: 4 };

/// An extension's archive: what comes out of it lies in its folder and within its limits, and is
/// files and folders only.
pub(super) fn extension_zip(data: &[u8]) {
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
