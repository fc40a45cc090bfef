//! System calls no safe library offers, each behind the smallest safe function.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Turns -1 into `errno`.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// `CLONE_INTO_CGROUP` (linux/sched.h), which does not fit the type the libc crate gives it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a fork this is.
pub(crate) enum Fork {
    /// The new process.
    Child,
    /// The caller, with the child's pid and a pidfd.
    Parent { pid: i32, pidfd: OwnedFd },
}

/// `clone3` without shared memory: a fork with namespaces, straight into a cgroup.
///
/// The caller must be single-threaded, because the child goes on as ordinary Rust code (it
/// allocates, logs and takes locks); this is checked.
pub(crate) fn fork(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Fork> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("fork needs one thread, there are {threads}")));
    }
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain old data for which all zeroes is a valid value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: args points to a whole clone_args of the given size, its pidfd to a live RawFd;
    // without CLONE_VM the child has its own copy of all memory, and the check above says that no
    // other thread can hold a lock across the fork.
    let pid = check(unsafe {
        libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>())
    })?;
    if pid == 0 {
        return Ok(Fork::Child);
    }
    // SAFETY: the kernel stored a fresh descriptor, owned by nobody else, before returning.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Fork::Parent { pid: pid as i32, pidfd })
}

/// Gives a detached mount the ids of a user namespace.
pub(crate) fn idmap_mount(mount: BorrowedFd<'_>, userns: BorrowedFd<'_>) -> io::Result<()> {
    #[repr(C)]
    struct MountAttr {
        attr_set: u64,
        attr_clr: u64,
        propagation: u64,
        userns_fd: u64,
    }
    const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
    let attr = MountAttr {
        attr_set: MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: 0,
        userns_fd: userns.as_raw_fd() as u64,
    };
    // SAFETY: the path is a NUL-terminated empty string, attr a whole struct mount_attr of the
    // size given, both alive during the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })?;
    Ok(())
}

/// Becomes the given uid and gid for good, without supplementary groups where the namespace
/// allows changing them.
pub(crate) fn become_ids(uid: u32, gid: u32) -> io::Result<()> {
    // SAFETY: plain system calls on numbers; a null list of length 0 is allowed for setgroups.
    unsafe {
        if libc::setgroups(0, std::ptr::null()) == -1 {
            let error = io::Error::last_os_error();
            // A user namespace with one mapped gid forbids it, and has no other group to drop.
            if error.raw_os_error() != Some(libc::EPERM) {
                return Err(error);
            }
        }
        check(libc::c_long::from(libc::setresgid(gid, gid, gid)))?;
        check(libc::c_long::from(libc::setresuid(uid, uid, uid)))?;
    }
    Ok(())
}

/// Drops every capability of the bounding set that is not in `keep`.
pub(crate) fn bound_capabilities(keep: &[u32]) -> io::Result<()> {
    for capability in 0..64u32 {
        // SAFETY: prctl on plain numbers.
        let has = unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) };
        if has == 1 && !keep.contains(&capability) {
            // SAFETY: as above.
            check(libc::c_long::from(unsafe {
                libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0)
            }))?;
        }
    }
    Ok(())
}

/// Asks for `signal` when the parent dies.
pub(crate) fn parent_death_signal(signal: i32) -> io::Result<()> {
    // SAFETY: prctl on plain numbers.
    check(libc::c_long::from(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) }))?;
    Ok(())
}

/// Lets the kernel merge equal pages of this process and of everything it starts (KSM). Needs
/// `CAP_SYS_RESOURCE`.
///
/// # Errors
///
/// Without that capability, or where the kernel has no KSM.
pub fn merge_memory() -> io::Result<()> {
    // SAFETY: prctl on plain numbers.
    check(libc::c_long::from(unsafe { libc::prctl(libc::PR_SET_MEMORY_MERGE, 1, 0, 0, 0) }))?;
    Ok(())
}

/// Puts `fd` at the number `target`, inherited by exec.
pub(crate) fn place_fd(fd: BorrowedFd<'_>, target: RawFd) -> io::Result<()> {
    if fd.as_raw_fd() == target {
        // SAFETY: fcntl on a descriptor that is open for the length of the borrow.
        check(libc::c_long::from(unsafe { libc::fcntl(target, libc::F_SETFD, 0) }))?;
    } else {
        // SAFETY: dup2 on plain numbers; the caller owns the target number (see walls::exec_guest,
        // which first moves all its descriptors above the targets).
        check(libc::c_long::from(unsafe { libc::dup2(fd.as_raw_fd(), target) }))?;
    }
    Ok(())
}

/// Marks every descriptor from `first` on close-on-exec.
pub(crate) fn cloexec_from(first: u32) -> io::Result<()> {
    // SAFETY: close_range on plain numbers; with this flag it closes nothing now.
    check(unsafe {
        libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC)
    })?;
    Ok(())
}

/// Installs a seccomp program for this thread and everything it starts. Needs `no_new_privs`.
pub(crate) fn install_seccomp(program: &[seccompiler::sock_filter]) -> io::Result<()> {
    seccompiler::apply_filter(program).map_err(io::Error::other)
}

/// Resets the signal mask and every disposition, which exec would otherwise pass on.
pub(crate) fn reset_signals() {
    // SAFETY: sigset_t is plain data that sigemptyset initialises; sigprocmask and signal only
    // change this process's own state. Failures (SIGKILL, SIGSTOP) are expected and harmless.
    unsafe {
        let mut empty: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut empty);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut());
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// Replaces this process; answers only with why it could not.
pub(crate) fn exec(
    program: &std::ffi::CStr,
    arguments: &[std::ffi::CString],
    environment: &[std::ffi::CString],
) -> io::Error {
    let list = |texts: &[std::ffi::CString]| {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>()
    };
    let (arguments, environment) = (list(arguments), list(environment));
    // SAFETY: both lists are null-terminated arrays of pointers to strings that outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Leaves the current cgroup namespace for a fresh one.
pub(crate) fn new_cgroup_namespace() -> io::Result<()> {
    // SAFETY: unshare on a plain flag; a cgroup namespace changes how paths are shown and leaves
    // descriptors and memory of this process alone.
    check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }))?;
    Ok(())
}

/// Leaves the current user namespace for a fresh one, whose owner is the effective uid.
pub(crate) fn new_user_namespace() -> io::Result<()> {
    // SAFETY: unshare on a plain flag; a user namespace changes this process's credentials and leaves its
    // descriptors and memory alone.
    check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWUSER) }))?;
    Ok(())
}

/// Keeps this process's capabilities when it becomes another uid, until it enters a user namespace.
pub(crate) fn keep_capabilities() -> io::Result<()> {
    // linux/securebits.h
    const NO_SETUID_FIXUP: libc::c_int = 1 << 2;
    // SAFETY: prctl on plain numbers.
    check(libc::c_long::from(unsafe {
        libc::prctl(libc::PR_SET_SECUREBITS, NO_SETUID_FIXUP, 0, 0, 0)
    }))?;
    Ok(())
}

/// Writes what decides about the ids of another process.
pub(crate) fn write_proc(pid: i32, name: &str, text: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/{pid}/{name}"), text)
}
