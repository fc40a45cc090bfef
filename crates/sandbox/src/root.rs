//! The root filesystem of a session, seen from inside its own mount namespace.
//!
//! ```text
//!  as root                                rootless
//!  /      overlay: skeleton + upper       a private folder, skeleton copied in
//!  /usr   overlay: host /usr + upper      host /usr, read-only overlay
//!  /dev   tmpfs, six devices, devpts, shm, mqueue left out (rootless: the host's devices, bound)
//!  /proc  fresh, see procfs
//!  /sys   only devices/system/cpu, read-only, of a sysfs of its own
//!  /.browserd  the guest's program and runners, read-only overlays
//! ```
//!
//! Lower layers carry the session's uid mapping (idmapped mounts), so that files of the host's root
//! belong to the session's root, which may then change them in its own upper layer.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, mount_remount, unmount,
};

use crate::WallError;
use crate::error::Step;
use crate::layers::{self, Upper, bind_read_only, locked_flags, overlay};
use crate::procfs;
use crate::skeleton::{self, HOST_FOLDERS};

/// A file to write into the fresh root.
#[derive(Debug, Clone)]
pub struct Planted {
    /// Absolute path inside.
    pub path: PathBuf,
    /// Content.
    pub content: Vec<u8>,
    /// Permission bits; the owner is the session's root.
    pub mode: u32,
}

/// What a root is built from.
pub(crate) struct Plan<'a> {
    /// The session's folder: `root`, `upper`, `work` and so on are made in it.
    pub(crate) dir: &'a Path,
    pub(crate) skeleton: &'a Path,
    /// Outside uid of the inside ids 0 and 1000.
    pub(crate) root_uid: u32,
    pub(crate) user_uid: u32,
    /// The gid that owns terminals, when it exists inside.
    pub(crate) tty_gid: Option<u32>,
    /// The session's user namespace, when the lower layers can carry its mapping.
    pub(crate) userns: Option<BorrowedFd<'a>>,
    pub(crate) overlay: bool,
    pub(crate) planted: &'a [Planted],
    /// Folders the session's user owns.
    pub(crate) user_folders: &'a [&'a str],
    /// Folders only the guest may read.
    pub(crate) guest_folders: &'a [&'a str],
    pub(crate) guest_uid: u32,
    /// This very program, shown read-only as /.browserd/guest.
    pub(crate) program: &'a Path,
    /// Folders of the host, shown read-only at absolute paths inside.
    pub(crate) bound: &'a [(&'a Path, &'a str)],
    pub(crate) shm_bytes: u64,
}

/// Builds the root and makes it `/`; nothing of the host's tree stays reachable. Answers with the only way
/// to a writable /proc/sys, for [`crate::budgets`].
pub(crate) fn enter(plan: &Plan<'_>) -> Result<OwnedFd, WallError> {
    let root = plan.dir.join("root");
    // Without this the session's mounts would show up on the host.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .step("make mounts private")?;
    make_folder(&root)?;
    let empty = folder_of(plan.dir, "empty")?;
    if plan.overlay {
        let upper = folder_of(plan.dir, "upper")?;
        populate(plan, &upper)?;
        changeable(plan, plan.skeleton, "lower", (&upper, "work"), &root)?;
        let upper_usr = folder_of(plan.dir, "upper-usr")?;
        own(&upper_usr, plan.root_uid, 0o755)?;
        let usr = (upper_usr.as_path(), "work-usr");
        changeable(plan, Path::new("/usr"), "lower-usr", usr, &root.join("usr"))?;
    } else {
        skeleton::copy_to(plan.skeleton, &root)?;
        populate(plan, &root)?;
        // pivot_root wants a mount.
        mount_bind_recursive(&root, &root).step("bind the root to itself")?;
        let flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV;
        mount_remount(&root, flags | locked_flags(&root), "").step("restrict the root")?;
        layers::show(Path::new("/usr"), &empty, &root.join("usr"))?;
    }
    for name in HOST_FOLDERS {
        let host = Path::new("/").join(name);
        if fs::symlink_metadata(&host).is_ok_and(|found| found.is_dir()) {
            layers::show(&host, &empty, &root.join(name))?;
        }
    }
    program(plan, &empty, &root.join(".browserd/guest"))?;
    for (host, inside) in plan.bound {
        layers::show(host, &empty, &root.join(inside.trim_start_matches('/')))?;
    }
    devices(plan, &root)?;
    let knobs = procfs::mount_at(&root)?;
    processors(plan, &root)?;
    pivot(&root)?;
    Ok(knobs)
}

/// A folder of the host that the session may change for itself.
fn changeable(
    plan: &Plan<'_>,
    source: &Path,
    lower: &str,
    (upper, work): (&Path, &str),
    at: &Path,
) -> Result<(), WallError> {
    let lower = layers::with_ids(source, plan.userns, folder_of(plan.dir, lower)?)?;
    let work = folder_of(plan.dir, work)?;
    let upper = Upper { folder: upper, work: &work, metadata_only: false };
    overlay(&[&lower], Some(&upper), at)
}

/// Shows the program of PID 1 at `at`. Where its mode can be changed for the session alone, nobody inside may
/// read it, the session's root included, who does not own it. Of such a program the kernel keeps everybody inside
/// away from the first moment on: what is below /proc/1, and of each of its threads, is the host's root's
/// (`would_dump` in fs/exec.c).
fn program(plan: &Plan<'_>, empty: &Path, at: &Path) -> Result<(), WallError> {
    if !at.exists() {
        fs::File::create(at).step("create /.browserd/guest")?;
    }
    let (Some(folder), Some(name)) = (plan.program.parent(), plan.program.file_name()) else {
        return bind_read_only(plan.program, at);
    };
    let shown = folder_of(plan.dir, "program")?;
    let unreadable = || {
        let folder_above = folder_of(plan.dir, "program-upper")?;
        let work = folder_of(plan.dir, "program-work")?;
        let upper = Upper { folder: &folder_above, work: &work, metadata_only: true };
        overlay(&[folder], Some(&upper), &shown)?;
        let mode = fs::Permissions::from_mode(0o711);
        fs::set_permissions(shown.join(name), mode).step("make the guest's program unreadable")
    };
    let made = match plan.overlay {
        true => unreadable().is_ok(),
        // Its owner is the caller or the host's root, and readers are everybody.
        false => overlay(&[folder, empty], None, &shown).is_ok(),
    };
    match made {
        true => bind_read_only(&shown.join(name), at),
        false => bind_read_only(plan.program, at),
    }
}

/// Shows the processors there are, out of a sysfs that only this network namespace has.
fn processors(plan: &Plan<'_>, root: &Path) -> Result<(), WallError> {
    let (cpu, own) = ("sys/devices/system/cpu", folder_of(plan.dir, "sys")?);
    let at = root.join(cpu);
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    // An ordinary user may not where some of the host's is hidden from him, as in a container.
    match mount("sysfs", &own, "sysfs", flags, None) {
        Ok(()) => bind_read_only(&own.join("devices/system/cpu"), &at),
        Err(_) => bind_read_only(&Path::new("/").join(cpu), &at),
    }
}

/// What a session's folder has besides the tree of its own: where it is mounted, and what overlays need.
pub(crate) const AROUND: [&str; 12] = [
    "root",
    "upper",
    "work",
    "lower",
    "upper-usr",
    "work-usr",
    "lower-usr",
    "program",
    "program-upper",
    "program-work",
    "empty",
    "sys",
];
const STICKY: [&str; 4] = ["tmp", "var/tmp", "tmp/.X11-unix", "tmp/.ICE-unix"];
const RUN: &str = "run";
const LOGS: &str = "var/log/browserd";
const RUNTIME: &str = "run/user/1000";

/// Makes the folders [`enter`] would make for an overlay, those that are the same in every session and
/// `inside` besides; it gives them their owners.
pub(crate) fn make_folders(dir: &Path, inside: &[&str]) -> Result<(), WallError> {
    for name in AROUND {
        folder_of(dir, name)?;
    }
    let upper = dir.join("upper");
    let inside = inside.iter().map(|folder| folder.trim_start_matches('/'));
    for folder in STICKY.into_iter().chain([LOGS, RUNTIME]).chain(inside) {
        let path = upper.join(folder);
        fs::create_dir_all(&path).step(format!("create {}", path.display()))?;
    }
    Ok(())
}

/// A folder of the session's own, which may have been made already.
fn folder_of(dir: &Path, name: &str) -> Result<PathBuf, WallError> {
    let path = dir.join(name);
    make_folder(&path)?;
    Ok(path)
}

/// Makes a folder unless it is there; answers whether it was not.
fn make_folder(path: &Path) -> Result<bool, WallError> {
    match fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(WallError::new(format!("create {}", path.display()), error)),
    }
}

/// Uid outside, and mode.
type Owner = (u32, u32);

/// The folders of a session's own tree, parents first. None: it leads to one, and is the session's root's.
fn folders(plan: &Plan<'_>) -> BTreeMap<PathBuf, Option<Owner>> {
    let mut all = BTreeMap::new();
    let mut add = |folder: &str, uid, mode| {
        let folder = Path::new(folder.trim_start_matches('/'));
        for parent in folder.ancestors().skip(1).filter(|parent| *parent != Path::new("")) {
            all.entry(parent.to_owned()).or_insert(None);
        }
        all.insert(folder.to_owned(), Some((uid, mode)));
    };
    for file in plan.planted {
        if let Some(parent) = file.path.parent() {
            add(&parent.to_string_lossy(), plan.root_uid, 0o755);
        }
    }
    for folder in STICKY {
        add(folder, plan.root_uid, 0o1777);
    }
    add(RUN, plan.root_uid, 0o755);
    add(LOGS, plan.guest_uid, 0o755);
    for folder in plan.user_folders {
        add(folder, plan.user_uid, 0o755);
    }
    for folder in plan.guest_folders {
        add(folder, plan.guest_uid, 0o700);
    }
    for (_, inside) in plan.bound {
        add(inside, plan.root_uid, 0o755);
    }
    add(RUNTIME, plan.user_uid, 0o700);
    all
}

/// Everything the session owns from the start.
fn populate(plan: &Plan<'_>, at: &Path) -> Result<(), WallError> {
    own(at, plan.root_uid, 0o755)?;
    for (folder, owner) in folders(plan) {
        let path = at.join(folder);
        let made = make_folder(&path)?;
        match owner {
            Some((uid, mode)) => own(&path, uid, mode)?,
            None if made || plan.overlay => own(&path, plan.root_uid, 0o755)?,
            // Copied from the skeleton, as it is there.
            None => {}
        }
    }
    for file in plan.planted {
        let path = at.join(file.path.strip_prefix("/").unwrap_or(&file.path));
        write_fresh(&path, &file.content).step(format!("write {}", file.path.display()))?;
        own(&path, plan.root_uid, file.mode)?;
    }
    Ok(())
}

/// Writes a file in place of whatever is there: a symlink copied from the host would lead out.
fn write_fresh(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    io::Write::write_all(&mut file, content)
}

fn own(path: &Path, uid: u32, mode: u32) -> Result<(), WallError> {
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(uid), Some(uid))
            .step(format!("chown {}", path.display()))?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .step(format!("chmod {}", path.display()))
}

/// Devices by their numbers (admin-guide/devices.txt).
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

fn devices(plan: &Plan<'_>, root: &Path) -> Result<(), WallError> {
    let dev = root.join("dev");
    let options = format!("mode=755,size=1m,uid={0},gid={0}", plan.root_uid);
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("tmpfs", &dev, "tmpfs", flags, owned_option(plan, &options).as_c_str())
        .step("mount /dev")?;
    for (name, major, minor) in DEVICES {
        let at = dev.join(name);
        let made =
            mknodat(CWD, &at, FileType::CharacterDevice, Mode::empty(), makedev(major, minor));
        match made {
            Ok(()) => own(&at, plan.root_uid, 0o666)?,
            // Who may not make devices can only show the host's.
            Err(_) => {
                fs::File::create(&at).step(format!("create /dev/{name}"))?;
                mount_bind(Path::new("/dev").join(name), &at).step(format!("bind /dev/{name}"))?;
            }
        }
    }
    for (target, name) in [
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
        ("pts/ptmx", "ptmx"),
    ] {
        symlink(target, dev.join(name)).step(format!("link /dev/{name}"))?;
    }
    for name in ["pts", "shm"] {
        fs::create_dir(dev.join(name)).step(format!("create /dev/{name}"))?;
    }
    // All terminals of the host come out of one pool (kernel.pty.max, 4096): a share for each.
    let mut options = "newinstance,ptmxmode=0666,mode=0620,max=256".to_owned();
    if let Some(gid) = plan.tty_gid {
        options.push_str(&format!(",gid={gid}"));
    }
    mount("devpts", dev.join("pts"), "devpts", flags, text(&options).as_c_str())
        .step("mount /dev/pts")?;
    let options = format!("mode=1777,size={},uid={1},gid={1}", plan.shm_bytes, plan.root_uid);
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", dev.join("shm"), "tmpfs", flags, owned_option(plan, &options).as_c_str())
        .step("mount /dev/shm")
}

/// Inside a user namespace of our own the ids of the options would have to be inside ids, and the
/// defaults are right.
fn owned_option(plan: &Plan<'_>, options: &str) -> std::ffi::CString {
    if plan.userns.is_some() || plan.overlay {
        return text(options);
    }
    let kept: Vec<&str> = options
        .split(',')
        .filter(|option| !option.starts_with("uid=") && !option.starts_with("gid="))
        .collect();
    text(&kept.join(","))
}

fn text(options: &str) -> std::ffi::CString {
    std::ffi::CString::new(options).unwrap_or_default()
}

/// Makes `root` the root and lets go of the old one.
fn pivot(root: &Path) -> Result<(), WallError> {
    rustix::process::chdir(root).step("enter the root")?;
    // With both arguments the same the old root ends up on top of the new one, and is unmounted
    // from there (pivot_root(2), "pivot_root(".", ".")").
    rustix::process::pivot_root(".", ".").step("pivot_root")?;
    unmount(".", UnmountFlags::DETACH).step("let go of the host's root")?;
    rustix::process::chdir("/").step("enter /")
}
