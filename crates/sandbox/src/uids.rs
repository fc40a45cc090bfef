//! A range of uids of its own for every session, leased for as long as its shim lives.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

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

/// A leased range. Dropping it, or the death of the process, ends the lease.
#[derive(Debug)]
pub struct Range {
    /// First uid and gid.
    pub base: u32,
    _lock: File,
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
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .step(format!("open {}", path.display()))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(Range { base: FIRST + slot * SIZE, _lock: file });
        }
    }
    Err(WallError::new("lease a uid range", io::Error::other("all ranges are in use")))
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

    // The last range ends below 2^31.
    const _: () = assert!(FIRST + (RANGES - 1) * SIZE + (SIZE - 1) < 1 << 31);
}
