//! A range of uids of its own for every session, leased for as long as its shim lives.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::WallError;
use crate::error::Step;

/// First uid of the first range: right above what systemd keeps for its containers
/// (524288 to 1879048191, "Users, Groups, UIDs and GIDs on systemd Systems").
pub const FIRST: u32 = 0x7000_0000;
/// Uids in a range, those a Linux userland expects.
pub const SIZE: u32 = 65_536;
/// Ranges there are; the last ends below 2^31, beyond which some tools fail.
pub const RANGES: u32 = 4095;

const DIRECTORY: &str = "/run/browserd/uids";

/// A leased range. Dropping it, or the death of the process, ends the lease; dropping it removes the lock's
/// file as well.
#[derive(Debug)]
pub struct Range {
    /// First uid and gid.
    pub base: u32,
    path: PathBuf,
    _lock: File,
}

impl Drop for Range {
    fn drop(&mut self) {
        // Before the lock goes: the file with this name is the one that is locked here, since nobody removes
        // another's. Who has it open already finds that it has no name any more, and opens a new one.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Leases a range no other session on this host has, whichever server it belongs to.
pub fn lease() -> Result<Range, WallError> {
    lease_in(Path::new(DIRECTORY), std::process::id())
}

fn lease_in(directory: &Path, seed: u32) -> Result<Range, WallError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .step(format!("create {}", directory.display()))?;
    // Starting somewhere else each time keeps leases short to find and late to be reused.
    let start = seed % RANGES;
    for offset in 0..RANGES {
        let slot = (start + offset) % RANGES;
        let path = directory.join(slot.to_string());
        if let Some(lock) = lock(&path).step(format!("lock {}", path.display()))? {
            return Ok(Range { base: FIRST + slot * SIZE, path, _lock: lock });
        }
    }
    Err(WallError::new("lease a uid range", io::Error::other("all ranges are in use")))
}

/// Makes a file and locks it; none: another has it locked.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(None);
        }
        // Its last owner may have removed it in between: a lock of a file without a name keeps nobody out.
        let named = std::fs::symlink_metadata(path).map(|named| (named.dev(), named.ino()));
        let locked = file.metadata()?;
        if named.is_ok_and(|named| named == (locked.dev(), locked.ino())) {
            return Ok(Some(file));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_leases_never_share_a_range() {
        let directory = tempfile::tempdir().unwrap();
        let first = lease_in(directory.path(), 7).unwrap();
        let second = lease_in(directory.path(), 7).unwrap();
        assert_ne!(first.base, second.base);
        let freed = first.base;
        drop(first);
        assert_eq!(lease_in(directory.path(), 7).unwrap().base, freed);
    }

    #[test]
    fn nothing_is_left_of_a_lease() {
        let directory = tempfile::tempdir().unwrap();
        drop(lease_in(directory.path(), 7).unwrap());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn one_has_a_range_at_a_time_however_often_it_changes_hands() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("7");
        let holders = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let Some(_lock) = lock(&path).unwrap() else { continue };
                        let order = std::sync::atomic::Ordering::SeqCst;
                        assert_eq!(holders.fetch_add(1, order), 0, "two have it");
                        holders.fetch_sub(1, order);
                        std::fs::remove_file(&path).unwrap();
                    }
                });
            }
        });
    }

    // The last range ends below 2^31.
    const _: () = assert!(FIRST + (RANGES - 1) * SIZE + (SIZE - 1) < 1 << 31);
}
