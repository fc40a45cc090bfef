//! Which files may be read across a session's walls.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FileType, fstat, fstatfs};

/// File systems in which reading a regular file gives its content and comes to an end (linux/magic.h):
/// btrfs, ext4, f2fs, overlay, tmpfs, xfs; and zfs (`sys/zfs_vfsops`).
const LOCAL: [u64; 7] =
    [0x9123_683e, 0xef53, 0xf2f5_2010, 0x794c_7630, 0x0102_1994, 0x5846_5342, 0x2fc1_2fc1];

/// Whether `file`, which came from inside a session, can be read from outside: a regular file of a
/// file system of the host's. Elsewhere someone inside may decide what reading does (FUSE), or it
/// shows what is the kernel's.
///
/// # Errors
///
/// When the kernel cannot say.
pub fn is_plain(file: impl AsFd) -> io::Result<bool> {
    let file = file.as_fd();
    if FileType::from_raw_mode(fstat(file)?.st_mode) != FileType::RegularFile {
        return Ok(false);
    }
    let kind = u64::try_from(fstatfs(file)?.f_type);
    Ok(kind.is_ok_and(|kind| LOCAL.contains(&kind)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn only_files_of_the_hosts_file_systems_are_plain() {
        assert!(is_plain(tempfile::tempfile().unwrap()).unwrap());
        for other in ["/proc/self/status", "/sys/kernel/uevent_seqnum", "/dev/null", "/"] {
            assert!(!is_plain(File::open(other).unwrap()).unwrap(), "{other}");
        }
        let (pipe, _other) = rustix::pipe::pipe().unwrap();
        assert!(!is_plain(pipe).unwrap());
    }
}
