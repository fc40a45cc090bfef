//! /proc of a session: its own processes, and little of the host.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::WallError;
use crate::error::Step;
use crate::layers::bind_read_only;

/// What of /proc tells about the host or counts what others do, or reaches hardware, and programs do
/// without. It is there and empty.
const MASKED: [&str; 41] = [
    "acpi",
    "allocinfo",
    "asound",
    "bootconfig",
    "buddyinfo",
    "cmdline",
    "config.gz",
    "consoles",
    "diskstats",
    "driver",
    "dynamic_debug",
    "fb",
    "interrupts",
    "iomem",
    "ioports",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "latency_stats",
    "locks",
    "mdstat",
    "modules",
    "pagetypeinfo",
    "partitions",
    "pressure",
    "sched_debug",
    "schedstat",
    "scsi",
    "softirqs",
    "swaps",
    "sys/fs/aio-nr",
    "sys/fs/dentry-state",
    "sys/fs/file-nr",
    "sys/fs/inode-nr",
    "sys/fs/inode-state",
    "sys/kernel/pty/nr",
    "timer_list",
    "vmstat",
    "zoneinfo",
];
/// Folders and files of /proc that configure the host.
const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];
/// Tells which hosts, and which sessions, are one.
const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";

/// Mounts it below `root`, whose /dev is there. Answers with /proc/sys as nobody else sees it: writable.
pub(crate) fn mount_at(root: &Path) -> Result<OwnedFd, WallError> {
    let at = root.join("proc");
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", &at, "proc", flags, None).step("mount /proc")?;
    // As it is below the read-only mount that comes over it.
    let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let knobs = open(at.join("sys"), way, Mode::empty()).step("open /proc/sys")?;
    for name in READ_ONLY {
        let path = at.join(name);
        if path.exists() {
            mount_bind(&path, &path).step(format!("bind /proc/{name}"))?;
            mount_remount(&path, flags | MountFlags::BIND | MountFlags::RDONLY, "")
                .step(format!("make /proc/{name} read-only"))?;
        }
    }
    // Bound to themselves read-only, which whatever is bound from them is too.
    let (nothing, empty) = (root.join("dev/nothing"), root.join("dev/empty"));
    write_readable(&nothing, "").step("create an empty file")?;
    fs::create_dir(&empty).step("create an empty folder")?;
    fs::set_permissions(&empty, fs::Permissions::from_mode(0o555)).step("chmod the folder")?;
    bind_read_only(&nothing, &nothing)?;
    bind_read_only(&empty, &empty)?;
    for name in MASKED {
        let path = at.join(name);
        let step = || format!("mask /proc/{name}");
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => mount_bind(&empty, &path).step(step())?,
            Ok(_) => mount_bind(&nothing, &path).step(step())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).step(step()),
        }
    }
    let own_id = root.join("dev/boot_id");
    write_readable(&own_id, &boot_id()?).step("write a boot id")?;
    bind_read_only(&own_id, &root.join(BOOT_ID))?;
    // The mounts keep what they show.
    for at in [&nothing, &empty] {
        unmount(at, UnmountFlags::DETACH).step("let go of what masks")?;
    }
    for file in [&own_id, &nothing] {
        fs::remove_file(file).step(format!("remove {}", file.display()))?;
    }
    fs::remove_dir(&empty).step("remove the empty folder")?;
    Ok(knobs)
}

/// Writes a file for everybody to read, whatever the umask.
fn write_readable(at: &Path, text: &str) -> io::Result<()> {
    fs::write(at, text)?;
    fs::set_permissions(at, fs::Permissions::from_mode(0o444))
}

/// A random UUID (RFC 9562, version 4).
fn boot_id() -> Result<String, WallError> {
    let mut random = [0u8; 16];
    // So few bytes come whole (getrandom(2)).
    getrandom(&mut random, GetRandomFlags::empty()).step("make a boot id")?;
    let number = u128::from_be_bytes(random) & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62;
    let text = format!("{number:032x}");
    let parts =
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| text.get(part).unwrap_or_default());
    Ok(parts.join("-") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_is_a_random_uuid() {
        let (one, other) = (boot_id().unwrap(), boot_id().unwrap());
        assert_ne!(one, other);
        let parts: Vec<&str> = one.trim_end().split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(parts[2].starts_with('4') && "89ab".contains(&parts[3][..1]), "{one}");
    }
}
