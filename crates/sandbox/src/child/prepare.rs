//! Turning a [`Launch`] into plain pointers and numbers the child can use without allocating.

use std::ffi::{CString, c_char};
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::process::{Resource, getrlimit};

use super::error::{LaunchError, Stage};
use super::launch::{Input, Launch, Limit};

/// Most descriptors one start may pass.
const MAX_FDS: usize = 64;
/// Highest number a passed descriptor may get.
const MAX_TARGET: RawFd = 1023;

/// What the child reads. Every pointer points into the [`Launch`] or into vectors kept here.
pub(super) struct Prepared {
    pub(super) programs: Vec<*const c_char>,
    pub(super) argv: Vec<*const c_char>,
    pub(super) envp: Vec<*const c_char>,
    pub(super) cwd: *const c_char,
    pub(super) ids: Option<(u32, u32)>,
    pub(super) groups: Vec<u32>,
    pub(super) root_caps: bool,
    /// (where it is, where it goes), by ascending target; the child rewrites the first part.
    pub(super) moves: Vec<(RawFd, RawFd)>,
    /// Descriptors the child moves out of the way first start above this.
    pub(super) above: RawFd,
    pub(super) tty: RawFd,
    pub(super) limits: Vec<Limit>,
    /// Written by the child: stage and errno of a failed start.
    pub(super) failed_stage: u8,
    pub(super) failed_errno: i32,
    _null: Option<File>,
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

impl Prepared {
    pub(super) fn new(launch: &Launch) -> Result<Self, LaunchError> {
        let invalid = LaunchError::new(Stage::Prepare, libc::EINVAL);
        if launch.programs.is_empty() || launch.argv.is_empty() {
            return Err(invalid);
        }
        if launch.extra_fds.len() > MAX_FDS {
            return Err(LaunchError::new(Stage::Prepare, libc::EMFILE));
        }
        let mut null = None;
        let mut moves = Vec::with_capacity(3 + launch.extra_fds.len());
        for (target, input) in (0..).zip([&launch.stdin, &launch.stdout, &launch.stderr]) {
            let fd = match (&launch.tty, input) {
                (Some(tty), _) => tty.as_raw_fd(),
                (None, Input::Fd(fd)) => fd.as_raw_fd(),
                (None, Input::Null) => null_fd(&mut null)?,
            };
            moves.push((fd, target));
        }
        for (fd, target) in &launch.extra_fds {
            let taken = moves.iter().any(|(_, other)| other == target);
            if !(3..=MAX_TARGET).contains(target) || taken {
                return Err(invalid);
            }
            moves.push((OwnedFd::as_raw_fd(fd), *target));
        }
        moves.sort_by_key(|(_, target)| *target);
        let above = moves.last().map_or(3, |(_, target)| target + 1);
        let mut limits = launch.limits.clone();
        // Not 0, for which the host's handler of piped cores is started; see `walls`. A hard limit
        // cannot be raised by everyone.
        let hard = getrlimit(Resource::Core).maximum.map_or(1, |hard| hard.min(1));
        limits.push(Limit { resource: libc::RLIMIT_CORE, soft: hard, hard });
        Ok(Self {
            programs: pointers(&launch.programs),
            argv: pointers(&launch.argv),
            envp: pointers(&launch.envp),
            cwd: launch.cwd.as_ptr(),
            ids: launch.ids.as_ref().map(|ids| (ids.uid, ids.gid)),
            groups: launch.ids.as_ref().map(|ids| ids.groups.clone()).unwrap_or_default(),
            root_caps: launch.root_caps,
            moves,
            above,
            tty: launch.tty.as_ref().map_or(-1, AsRawFd::as_raw_fd),
            limits,
            failed_stage: 0,
            failed_errno: 0,
            _null: null,
        })
    }
}

fn null_fd(null: &mut Option<File>) -> Result<RawFd, LaunchError> {
    if let Some(file) = null {
        return Ok(file.as_raw_fd());
    }
    let file = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|e| LaunchError::new(Stage::Descriptors, e.raw_os_error().unwrap_or(0)))?;
    Ok(null.insert(file).as_raw_fd())
}
