//! Folders of the host as a session sees them: through overlays, whose inodes are the session's own.
//!
//! What is bound from the host is the host's own inode: who is inside could lock it, watch who opens it and
//! when, and so talk to other sessions. An overlay has inodes of its own for the same pages of memory.
//!
//! Layers are named by descriptors, so that the mounts a session can list do not say where they are.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount_bind,
    mount_remount, move_mount, open_tree,
};

use crate::WallError;
use crate::error::Step;
use crate::sys;

/// Where an overlay's changes go.
pub(crate) struct Upper<'a> {
    pub(crate) folder: &'a Path,
    /// Empty, and beside `folder`.
    pub(crate) work: &'a Path,
    /// Whether a change of a file's owner or mode leaves its content below.
    pub(crate) metadata_only: bool,
}

/// Mounts an overlay; without `upper` it is read-only, and has two layers or more.
pub(crate) fn overlay(
    lower: &[&Path],
    upper: Option<&Upper<'_>>,
    at: &Path,
) -> Result<(), WallError> {
    let step = |what: &str| format!("overlay {}: {what}", at.display());
    let layer = |path: &Path| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = open(path, flags, Mode::empty()).step(step("open a layer"))?;
        Ok((format!("/proc/self/fd/{}", fd.as_raw_fd()), fd))
    };
    let opened: Vec<(String, OwnedFd)> =
        lower.iter().copied().map(layer).collect::<Result<_, WallError>>()?;
    let joined = opened.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(":");
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).step(step("open"))?;
    fsconfig_set_string(fs.as_fd(), "lowerdir", joined).step(step("lower layer"))?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    // Open until the overlay is made.
    let mut kept = Vec::new();
    match upper {
        Some(upper) => {
            for (option, path) in [("upperdir", upper.folder), ("workdir", upper.work)] {
                let (name, fd) = layer(path)?;
                fsconfig_set_string(fs.as_fd(), option, name).step(step(option))?;
                kept.push(fd);
            }
            // A session's files never outlive it, so there is nothing to sync.
            fsconfig_set_flag(fs.as_fd(), "volatile").step(step("volatile"))?;
            if upper.metadata_only {
                fsconfig_set_string(fs.as_fd(), "metacopy", "on").step(step("metacopy"))?;
            }
        }
        None => attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY,
    }
    fsconfig_create(fs.as_fd()).step(step("create"))?;
    let mounted =
        fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).step(step("mount"))?;
    move_mount(mounted.as_fd(), "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .step(step("attach"))
}

/// A lower layer: the folder itself, or with the ids of a user namespace at `at` where the host can do that.
pub(crate) fn with_ids(
    source: &Path,
    userns: Option<BorrowedFd<'_>>,
    at: PathBuf,
) -> Result<PathBuf, WallError> {
    let Some(userns) = userns else { return Ok(source.to_owned()) };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree =
        open_tree(CWD, source, flags).step(format!("clone the mount of {}", source.display()))?;
    if sys::idmap_mount(tree.as_fd(), userns).is_err() {
        // An old kernel or a filesystem without idmapped mounts: the host's files then belong to
        // nobody inside, which hides an owner and opens nothing.
        return Ok(source.to_owned());
    }
    move_mount(tree.as_fd(), "", CWD, &at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .step(format!("mount {}", at.display()))?;
    Ok(at)
}

/// Shows a folder of the host at `at`, read-only. `empty` is an empty folder. Where overlays cannot be
/// made of it, as of one that has `empty` in it, it is the host's own.
pub(crate) fn show(source: &Path, empty: &Path, at: &Path) -> Result<(), WallError> {
    overlay(&[source, empty], None, at).or_else(|_| bind_read_only(source, at))
}

pub(crate) fn bind_read_only(source: &Path, at: &Path) -> Result<(), WallError> {
    mount_bind(source, at).step(format!("bind {}", source.display()))?;
    // A remount must repeat flags that a user namespace may not clear.
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_remount(at, flags, "")
        .or_else(|_| mount_remount(at, flags | locked_flags(at), ""))
        .step(format!("make {} read-only", at.display()))
}

/// The flags of a mount that an unprivileged remount has to keep.
pub(crate) fn locked_flags(at: &Path) -> MountFlags {
    let mut flags = MountFlags::empty();
    if let Ok(found) = rustix::fs::statvfs(at) {
        let has = |flag| found.f_flag.contains(flag);
        use rustix::fs::StatVfsMountFlags as Has;
        for (there, keep) in [
            (has(Has::NOEXEC), MountFlags::NOEXEC),
            (has(Has::NOATIME), MountFlags::NOATIME),
            (has(Has::NODIRATIME), MountFlags::NODIRATIME),
            (has(Has::RELATIME), MountFlags::RELATIME),
        ] {
            if there {
                flags |= keep;
            }
        }
    }
    flags
}
