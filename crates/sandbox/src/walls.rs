//! Raising the walls: from the shim's single thread to PID 1 of a session.
//!
//! ```text
//!  shim                                   child (PID 1)
//!  make user namespace (userns)
//!  clone3 into the cgroup ───────────────▶
//!  rootless: write the id maps ──go──────▶ network, listeners for the gateway in it
//!  into the cgroups, both of them          host name, root::enter
//!                          └──go─────────▶ cgroup namespace, into its leaf
//!                                          enter the user namespace, become its ids, limit it
//!  take the listeners ◀─fds, or why not─── bound capabilities, no_new_privs, seccomp
//!                                          exec /.browserd/guest
//! ```

use std::ffi::CString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, WaitId, WaitIdOptions, getrlimit, setrlimit, waitid};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::budgets::{self, Counts};
use crate::error::Step;
use crate::network::{self, Listeners, Network, Redirected};
use crate::root::{self, Planted};
use crate::sys::{self, Fork};
use crate::uids::{self, Range};
use crate::{WallError, cgroup, handover, seccomp, userns};

pub use crate::root::Planted as PlantedFile;

/// Capabilities the session's root keeps, all of them powerless outside its user namespace: to own,
/// read and change its files, to signal its processes, to become its other users and to drop powers
/// for what it starts. No `SYS_ADMIN`, `SYS_PTRACE`, `NET_ADMIN`, `NET_RAW`, `MKNOD` or `SYS_CHROOT`.
const KEPT_CAPABILITIES: [u32; 10] = [
    0,  // CHOWN
    1,  // DAC_OVERRIDE
    2,  // DAC_READ_SEARCH
    3,  // FOWNER
    4,  // FSETID
    5,  // KILL
    6,  // SETGID
    7,  // SETUID
    8,  // SETPCAP
    10, // NET_BIND_SERVICE
];

/// Who a session is outside.
#[derive(Debug)]
pub enum Identity {
    /// The caller is root: the session gets a range of uids of its own.
    Range(Range),
    /// The caller is an ordinary user: inside, its uid is called `inside_uid`.
    Own {
        /// Uid and gid inside that stand for the caller's.
        inside_uid: u32,
    },
}

impl Identity {
    /// Outside uid of an inside uid (0 or the browser user's).
    fn outside(&self, inside: u32) -> u32 {
        match self {
            Self::Range(range) => range.base + inside,
            Self::Own { .. } => rustix::process::geteuid().as_raw(),
        }
    }

    /// Uid and gid the guest runs as, inside.
    fn guest(&self) -> u32 {
        match self {
            Self::Range(_) => 0,
            Self::Own { inside_uid } => *inside_uid,
        }
    }

    /// Whose counts of the kernel the session's are.
    fn counts(&self) -> Counts {
        match self {
            Self::Range(_) => Counts::Own,
            Self::Own { .. } => Counts::Shared,
        }
    }

    /// How many uids there are inside.
    #[must_use]
    pub fn uids(&self) -> u32 {
        match self {
            Self::Range(_) => uids::SIZE,
            Self::Own { .. } => 1,
        }
    }
}

/// Everything needed to raise the walls of one session.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The session's folder.
    pub dir: &'a Path,
    /// See [`crate::skeleton`].
    pub skeleton: &'a Path,
    /// Who the session is outside.
    pub identity: &'a Identity,
    /// Its cgroups.
    pub cgroup: &'a cgroup::Session,
    /// Whether the caller is the session's shim and is to have its place there.
    pub is_shim: bool,
    /// Host name inside.
    pub hostname: &'a str,
    /// Inside uid of the browser user.
    pub user_uid: u32,
    /// Files to write into the root.
    pub planted: &'a [Planted],
    /// Folders of the browser user.
    pub user_folders: &'a [&'a str],
    /// Folders only the guest may read.
    pub guest_folders: &'a [&'a str],
    /// Folders of the host and where they are inside, read-only.
    pub bound: &'a [(&'a Path, &'a str)],
    /// The program to run as PID 1, on the host.
    pub program: &'a Path,
    /// Its arguments, the first being its name.
    pub arguments: &'a [&'a str],
    /// Its whole environment.
    pub environment: &'a [(&'a str, &'a str)],
    /// Descriptors it gets, in order from 3 on. The delegated cgroup folder follows them.
    pub descriptors: &'a [BorrowedFd<'a>],
    /// Its stderr.
    pub log: BorrowedFd<'a>,
    /// Its network.
    pub network: Network,
    /// Size of /dev/shm.
    pub shm_bytes: u64,
}

/// A session with its walls up and its guest running.
#[derive(Debug)]
pub struct Raised {
    /// The guest's pid as the host sees it.
    pub pid: i32,
    /// The guest, safe from pid reuse.
    pub pidfd: OwnedFd,
    /// Listen inside the session's network namespace.
    pub listeners: Listeners,
    /// Whether / and /usr are overlays.
    pub overlay: bool,
}

/// Makes the folders of a session below `dir` that do not depend on who it is, `inside` among them, so
/// that [`raise`] need not. It takes longer than anything else there, and may go on beside what comes
/// before [`raise`]. Nothing to gain for an ordinary user.
///
/// # Errors
///
/// When one cannot be made; [`raise`] would fail likewise.
pub fn make_folders(dir: &Path, inside: &[&str]) -> Result<(), WallError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    root::make_folders(dir, inside)
}

/// Raises the walls and starts the guest. The caller must be single-threaded.
pub fn raise(plan: &Plan<'_>) -> Result<Raised, WallError> {
    let overlay = matches!(plan.identity, Identity::Range(_));
    match attempt(plan, overlay) {
        // The state folder may be on a filesystem that cannot hold an upper layer, as in a container.
        Err(error) if overlay && error.step.starts_with("overlay ") => {
            clear_folder(plan.dir)?;
            attempt(plan, false)
        }
        other => other,
    }
}

/// Removes what a failed attempt left in the session's folder.
fn clear_folder(dir: &Path) -> Result<(), WallError> {
    for name in root::AROUND {
        let path = dir.join(name);
        if path.exists() {
            fs::remove_dir_all(&path).step(format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn attempt(plan: &Plan<'_>, overlay: bool) -> Result<Raised, WallError> {
    let userns = match plan.identity {
        Identity::Range(range) => Some(userns::make(range)?),
        Identity::Own { .. } => None,
    };
    let cgroup = plan.cgroup.own_folder()?;
    let (mut ours, theirs) = UnixStream::pair().step("make a socket pair")?;
    let mut flags = libc::CLONE_NEWPID
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    if userns.is_none() {
        flags |= libc::CLONE_NEWUSER;
    }
    let fork = sys::fork(flags as u64, cgroup.as_ref().map(AsFd::as_fd)).step("clone PID 1")?;
    let Fork::Parent { pid, pidfd } = fork else {
        drop(ours);
        let error = match become_guest(plan, overlay, userns.as_ref(), &theirs) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        handover::tell(&theirs, &error);
        std::process::exit(1);
    };
    drop(theirs);
    let outcome = introduce(plan, pid, userns.is_none(), &mut ours);
    match outcome {
        Ok(listeners) => Ok(Raised { pid, pidfd, listeners, overlay }),
        Err(error) => {
            let _ = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
            let _ = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
            Err(error)
        }
    }
}

/// The parent's half: gives the child its ids where only we can, and takes the listeners.
fn introduce(
    plan: &Plan<'_>,
    pid: i32,
    map: bool,
    socket: &mut UnixStream,
) -> Result<Listeners, WallError> {
    if map {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        let inside = plan.identity.guest();
        for (name, text) in [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("{inside} {} 1", uid.as_raw())),
            ("gid_map", format!("{inside} {} 1", gid.as_raw())),
        ] {
            sys::write_proc(pid, name, &text).step(format!("write {name}"))?;
        }
    }
    socket.write_all(b"g").step("let PID 1 go on")?;
    plan.cgroup.settle(pid, plan.is_shim)?;
    // A child that is gone by now has said why, which is read below.
    let _ = socket.write_all(b"g");
    let listeners = receive_listeners(socket)?;
    // The other end closes at exec; anything before that is why it did not come to it.
    let mut why = String::new();
    socket.take(4096).read_to_string(&mut why).step("wait for the guest to start")?;
    if why.is_empty() { Ok(listeners) } else { Err(handover::told(&why)) }
}

/// The child's half; returns only on failure.
fn become_guest(
    plan: &Plan<'_>,
    overlay: bool,
    userns: Option<&OwnedFd>,
    socket: &UnixStream,
) -> Result<std::convert::Infallible, WallError> {
    (&mut &*socket).read_exact(&mut [0]).step("wait for the ids")?;
    let identity = plan.identity;
    let guest = identity.guest();
    if userns.is_none() {
        sys::become_ids(guest, guest).step("become the mapped user")?;
    }
    limit_resources(plan)?;
    let to_init = plan.cgroup.way_to_init()?;
    let leaves = plan.cgroup.detached_folder()?;
    let listeners = network::set_up(&plan.network)?;
    rustix::system::sethostname(plan.hostname.as_bytes()).step("set the host name")?;
    let knobs = root::enter(&root::Plan {
        dir: plan.dir,
        skeleton: plan.skeleton,
        root_uid: identity.outside(0),
        user_uid: identity.outside(plan.user_uid),
        tty_gid: userns.map(|_| identity.outside(5)),
        userns: userns.map(AsFd::as_fd),
        overlay,
        planted: plan.planted,
        user_folders: plan.user_folders,
        guest_folders: plan.guest_folders,
        guest_uid: identity.outside(guest),
        program: plan.program,
        bound: plan.bound,
        shm_bytes: plan.shm_bytes,
    })?;
    (&mut &*socket).read_exact(&mut [0]).step("wait for the cgroups")?;
    sys::new_cgroup_namespace().step("make a cgroup namespace")?;
    if let Some(mut to_init) = to_init {
        to_init.write_all(b"0").step("enter the guest's cgroup")?;
    }
    if let Some(userns) = userns {
        move_into_link_name_space(userns.as_fd(), Some(LinkNameSpaceType::User))
            .step("enter the user namespace")?;
        sys::become_ids(guest, guest).step("become the session's root")?;
    }
    budgets::limit_namespace(knobs.as_fd(), identity.counts())?;
    send_listeners(socket, listeners)?;
    sys::bound_capabilities(&KEPT_CAPABILITIES).step("bound capabilities")?;
    sys::parent_death_signal(libc::SIGKILL).step("bind to the shim's life")?;
    rustix::process::setsid().ok();
    sys::reset_signals();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    exec_guest(plan, leaves.as_ref())
}

/// Limits of the process itself, for all that is started inside.
fn limit_resources(plan: &Plan<'_>) -> Result<(), WallError> {
    // A hard limit cannot be raised by everyone.
    let within =
        |resource, most: u64| Some(getrlimit(resource).maximum.map_or(most, |hard| hard.min(most)));
    let limit = |resource, most, step: &str| {
        let most = within(resource, most);
        setrlimit(resource, Rlimit { current: most, maximum: most }).step(step)
    };
    // `serve` and the shim have raised theirs, but programs that use select(2) rely on it.
    let (current, maximum) = (within(Resource::Nofile, 1024), getrlimit(Resource::Nofile).maximum);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).step("limit open files")?;
    // Not 0: where the host pipes cores to a program of its own, that is started for 0 too, and for
    // 1 it is not (fs/coredump.c).
    limit(Resource::Core, 1, "forbid core dumps")?;
    budgets::limit(plan.identity.counts())?;
    // Counted for each user and each user namespace, and in those around it, so this is the
    // session's own count where it has one user.
    match plan.cgroup.unenforced_pids() {
        Some(most) => limit(Resource::Nproc, most, "limit processes"),
        None => Ok(()),
    }
}

/// Puts the descriptors in their places, closes all others and starts the guest.
fn exec_guest(
    plan: &Plan<'_>,
    leaves: Option<&OwnedFd>,
) -> Result<std::convert::Infallible, WallError> {
    let wanted: Vec<BorrowedFd<'_>> =
        plan.descriptors.iter().copied().chain(leaves.map(AsFd::as_fd)).collect();
    let next = 3 + RawFd::try_from(wanted.len()).unwrap_or(RawFd::MAX - 3);
    // A source may sit at another's target: first lift all of them out of the way.
    let lift = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, next + 1);
    let null = fs::File::open("/dev/null").step("open /dev/null")?;
    let null = lift(null.as_fd()).step("move /dev/null")?;
    let log = lift(plan.log).step("move the log")?;
    let lifted: Vec<OwnedFd> =
        wanted.into_iter().map(lift).collect::<Result<_, _>>().step("move descriptors")?;
    sys::cloexec_from(3).step("close descriptors at exec")?;
    for (fd, target) in [(&null, 0), (&log, 1), (&log, 2)] {
        sys::place_fd(fd.as_fd(), target).step("place standard streams")?;
    }
    for (fd, target) in lifted.iter().zip(3..) {
        debug_assert_ne!(fd.as_raw_fd(), target);
        sys::place_fd(fd.as_fd(), target).step("place descriptors")?;
    }
    let program = CString::new("/.browserd/guest").unwrap_or_default();
    let text = |text: String| CString::new(text).map_err(io::Error::other);
    let arguments: Vec<CString> = plan
        .arguments
        .iter()
        .map(|argument| text((*argument).to_owned()))
        .collect::<io::Result<_>>()
        .step("prepare arguments")?;
    let environment: Vec<CString> = plan
        .environment
        .iter()
        .map(|(name, value)| text(format!("{name}={value}")))
        .collect::<io::Result<_>>()
        .step("prepare the environment")?;
    let filter = seccomp::program().step("compile the seccomp filter")?;
    rustix::thread::set_no_new_privs(true).step("set no_new_privs")?;
    sys::install_seccomp(&filter).step("install the seccomp filter")?;
    Err(WallError::new("start the guest", sys::exec(&program, &arguments, &environment)))
}

/// Hands them over, and with the proxy's alone why it is alone.
fn send_listeners(socket: &UnixStream, listeners: Listeners) -> Result<(), WallError> {
    let mut fds = vec![listeners.proxy.as_fd()];
    if let Ok(redirected) = &listeners.redirected {
        fds.extend([redirected.connections.as_fd(), redirected.names.as_fd()]);
    }
    let why = listeners.redirected.as_ref().err();
    handover::send(socket, &fds, why).step("hand over the listeners")
}

fn receive_listeners(socket: &mut UnixStream) -> Result<Listeners, WallError> {
    let (proxy, more, why) = handover::receive(socket, "wait for the listeners")?;
    let redirected = match <[OwnedFd; 2]>::try_from(more) {
        Ok([connections, names]) => {
            Ok(Redirected { connections: connections.into(), names: names.into() })
        }
        Err(_) => Err(why),
    };
    Ok(Listeners { proxy: proxy.into(), redirected })
}

/// Path of the running program itself, for [`Plan::program`].
pub fn own_program() -> io::Result<PathBuf> {
    std::env::current_exe()
}
