//! A process that keeps the tree of a command together where no cgroup can.
//!
//! ```text
//!  guest ──clone3(VM), own stack──▶ supervisor (subreaper) ──clone3(VM|VFORK)──▶ command
//!    ◀── Started{pid} ─────────── pipe ──┤                                         │ fork, fork
//!                                        │ reaps                                   ▼
//!    ◀── Exited{status} ───────── pipe ──┤ ◀── daemons end up here, not at the guest
//!    ◀── end of file, SIGCHLD ───────────┘ exits when nothing of the tree is left
//! ```
//!
//! The supervisor lives in the guest's memory (it costs one kernel task and two pages of stack) and
//! makes raw system calls only. It holds no descriptor but its end of the pipe.

use std::ffi::c_void;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use rustix::event::{PollFd, PollFlags};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};

use super::error::{LaunchError, Stage};
use super::exec::{become_program, default_dispositions};
use super::launch::Launch;
use super::prepare::Prepared;
use super::raw::{self, CloneArgs, call, exit};
use super::start::BlockedSignals;

/// Stack of a supervisor, with an inaccessible page below it.
const STACK: usize = 64 * 1024;
const GUARD: usize = 64 * 1024;

/// Length of one message on the pipe: kind and two numbers.
const MESSAGE: usize = 12;
const STARTED: u32 = 1;
const FAILED: u32 = 2;
const EXITED: u32 = 3;

/// A command under a supervisor.
#[derive(Debug)]
pub struct Supervised {
    /// The command's pid, which is also its process group and session.
    pub pid: i32,
    /// The supervisor's pid, the root of the tree; a child of the caller.
    pub supervisor: i32,
    /// Pipe: [`SupervisorReport`]s of [`SupervisorReport::SIZE`] bytes, then end of file when the tree is empty.
    pub reports: OwnedFd,
    /// What the supervisor runs on. Keep it until the supervisor was reaped.
    pub memory: SupervisorMemory,
}

/// What a supervisor says about its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupervisorReport {
    /// The command's wait status as the kernel encodes it.
    pub wait_status: i32,
}

impl SupervisorReport {
    /// Bytes to read from the pipe for one report.
    pub const SIZE: usize = MESSAGE;

    /// Understands one message; `None` when it is not the report of an exit.
    #[must_use]
    pub fn parse(bytes: &[u8; MESSAGE]) -> Option<Self> {
        let message = Message::parse(bytes);
        (message.kind == EXITED).then_some(Self { wait_status: message.numbers[0] })
    }
}

#[repr(C)]
struct Message {
    kind: u32,
    numbers: [i32; 2],
}

impl Message {
    fn parse(bytes: &[u8; MESSAGE]) -> Self {
        let word = |at: usize| i32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
        Self { kind: word(0) as u32, numbers: [word(4), word(8)] }
    }
}

/// What the supervisor reads; shared with it for its whole life.
struct Context {
    prepared: Prepared,
    cgroup: i32,
    report: i32,
}

/// Stack and context of a supervisor. Freed on drop if the supervisor has ended by then, leaked
/// otherwise: freeing it under a running supervisor would be unsound.
#[derive(Debug)]
pub struct SupervisorMemory {
    stack: NonNull<c_void>,
    context: NonNull<Context>,
    /// `None` before there is a supervisor.
    supervisor: Option<OwnedFd>,
}

// SAFETY: the pointers are owned by this value alone once the supervisor has ended, and until then
// nothing is touched through them.
unsafe impl Send for SupervisorMemory {}
// SAFETY: as above; no method takes `&self` to anything but the pidfd.
unsafe impl Sync for SupervisorMemory {}

impl SupervisorMemory {
    fn new(context: Context) -> Result<Self, LaunchError> {
        let failed = |e: rustix::io::Errno| LaunchError::new(Stage::Supervisor, e.raw_os_error());
        // SAFETY: a fresh private mapping at an address of the kernel's choice.
        let stack = unsafe {
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            let flags = MapFlags::PRIVATE | MapFlags::STACK | MapFlags::NORESERVE;
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), GUARD + STACK, protection, flags)
        }
        .map_err(failed)?;
        let context = NonNull::from(Box::leak(Box::new(context)));
        let memory = Self {
            stack: NonNull::new(stack).ok_or(LaunchError::new(Stage::Supervisor, libc::ENOMEM))?,
            context,
            supervisor: None,
        };
        // SAFETY: the lower part of the mapping just made; nothing lives there.
        unsafe { rustix::mm::mprotect(stack, GUARD, MprotectFlags::empty()) }.map_err(failed)?;
        Ok(memory)
    }

    fn ended(&self) -> bool {
        let Some(pidfd) = &self.supervisor else { return true };
        let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(rustix::event::poll(&mut fds, Some(&now)), Ok(1))
    }
}

impl Drop for SupervisorMemory {
    fn drop(&mut self) {
        if self.ended() {
            // SAFETY: the supervisor has ended, or never was: nobody else uses the mapping and the
            // box, both made in `new`.
            unsafe {
                let _ = rustix::mm::munmap(self.stack.as_ptr(), GUARD + STACK);
                drop(Box::from_raw(self.context.as_ptr()));
            }
        }
    }
}

/// Starts a command under a supervisor of its own and answers when the program has been executed
/// or could not be.
///
/// # Errors
///
/// [`LaunchError`] with the step that failed; then neither process is left.
pub fn start_supervised(launch: &Launch) -> Result<Supervised, LaunchError> {
    let failed = |errno: i32| LaunchError::new(Stage::Supervisor, errno);
    let (reports, report) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|e| failed(e.raw_os_error()))?;
    let context = Context {
        prepared: Prepared::new(launch)?,
        cgroup: launch.cgroup.as_ref().map_or(-1, AsRawFd::as_raw_fd),
        report: report.as_raw_fd(),
    };
    let mut memory = SupervisorMemory::new(context)?;
    let mut pidfd: i32 = -1;
    let args = CloneArgs {
        flags: (libc::CLONE_VM | libc::CLONE_PIDFD) as u64 | raw::CLONE_CLEAR_SIGHAND,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: (memory.stack.as_ptr() as usize + GUARD) as u64,
        stack_size: STACK as u64,
        ..CloneArgs::default()
    };
    let supervisor = {
        let _blocked = BlockedSignals::new();
        // SAFETY: a stack of its own that SupervisorMemory keeps until the child has ended; the
        // context likewise; all signals are blocked in the child.
        unsafe { raw::clone3(&args, supervise, memory.context.as_ptr().cast()) }
    };
    if supervisor < 0 {
        return Err(LaunchError::new(Stage::Clone, (-supervisor) as i32));
    }
    let supervisor = supervisor as i32;
    // SAFETY: the kernel stored a fresh descriptor there; nobody else owns it.
    memory.supervisor = Some(unsafe { OwnedFd::from_raw_fd(pidfd) });
    drop(report);

    let mut bytes = [0; MESSAGE];
    let mut pipe = std::fs::File::from(reports);
    let message = match pipe.read_exact(&mut bytes) {
        Ok(()) => Message::parse(&bytes),
        Err(_) => Message { kind: FAILED, numbers: [Stage::Supervisor as i32, libc::ECHILD] },
    };
    if message.kind != STARTED {
        super::reap::discard(supervisor);
        let stage = Stage::from_u8(message.numbers[0] as u8);
        return Err(LaunchError::new(stage, message.numbers[1]));
    }
    let pid = message.numbers[0];
    Ok(Supervised { pid, supervisor, reports: pipe.into(), memory })
}

/// The supervisor's entry.
///
/// # Safety
///
/// `context` points to a [`Context`] that outlives this process; every signal is blocked; the
/// process has its own stack, descriptors and signal handlers.
unsafe extern "C" fn supervise(context: *mut c_void) -> ! {
    let context = context.cast::<Context>();
    // SAFETY: raw system calls; the pointers into the context are valid by the contract above, and
    // nobody but this process touches anything in it.
    unsafe {
        let report = (*context).report;
        call!(libc::SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        call!(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        call!(libc::SYS_prctl, libc::PR_SET_NAME, c"supervisor".as_ptr(), 0, 0, 0);
        default_dispositions();
        let mut args = CloneArgs {
            flags: (libc::CLONE_VM | libc::CLONE_VFORK) as u64 | raw::CLONE_CLEAR_SIGHAND,
            exit_signal: libc::SIGCHLD as u64,
            ..CloneArgs::default()
        };
        if (*context).cgroup >= 0 {
            args.flags |= raw::CLONE_INTO_CGROUP;
            args.cgroup = (*context).cgroup as u64;
        }
        let prepared = &raw mut (*context).prepared;
        let pid = raw::clone3(&args, become_program, prepared.cast());
        if pid < 0 {
            say(report, FAILED, [Stage::Clone as i32, (-pid) as i32]);
            exit(1);
        }
        let stage = (&raw const (*prepared).failed_stage).read_volatile();
        if stage != 0 {
            let errno = (&raw const (*prepared).failed_errno).read_volatile();
            call!(libc::SYS_wait4, pid, 0, 0, 0);
            say(report, FAILED, [i32::from(stage), errno]);
            exit(1);
        }
        call!(libc::SYS_dup3, report, 0, libc::O_CLOEXEC);
        call!(libc::SYS_close_range, 1, u32::MAX, 0);
        say(0, STARTED, [pid as i32, 0]);
        reap_until_empty(pid as i32)
    }
}

/// Reaps everything that ends up here; reports the command's end; exits when nothing is left.
fn reap_until_empty(command: i32) -> ! {
    loop {
        let mut status = 0i32;
        // SAFETY: the status is a live local; what the child used is not asked for.
        let pid = unsafe { call!(libc::SYS_wait4, -1isize, &raw mut status, libc::__WALL, 0) };
        if pid < 0 && pid != -(libc::EINTR as isize) {
            exit(0);
        }
        if pid == command as isize {
            say(0, EXITED, [status, 0]);
        }
    }
}

fn say(fd: i32, kind: u32, numbers: [i32; 2]) {
    let message = Message { kind, numbers };
    // SAFETY: the message lives through the call and is MESSAGE bytes without padding.
    unsafe { call!(libc::SYS_write, fd, &raw const message, MESSAGE) };
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    fn shell(script: &str) -> Launch {
        let script = std::ffi::CString::new(script).unwrap();
        let mut launch = Launch::new(c"/bin/sh".to_owned()).arg(c"-c").arg(script);
        launch.envp.push(c"PATH=/usr/bin:/bin".to_owned());
        launch
    }

    fn readable_now(pipe: &File) -> bool {
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&now)).unwrap() > 0
    }

    #[test]
    fn reports_the_exit_at_once_and_lives_on_with_the_tree() {
        // The daemon ends when our end of its input does. By another number, because a shell gives what
        // runs in the background /dev/null for its standard input.
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let mut launch = shell("exec 3<&0; (setsid cat <&3 &); exit 7");
        launch.stdin = super::super::Input::Fd(read);
        let run = start_supervised(&launch).unwrap();
        drop(launch);
        let mut reports = File::from(run.reports);
        let mut message = [0; MESSAGE];
        reports.read_exact(&mut message).unwrap();
        assert_eq!(SupervisorReport::parse(&message).unwrap().wait_status, 7 << 8);
        // The daemon is alive: no end of file.
        assert!(!readable_now(&reports));
        assert!(!run.memory.ended());
        drop(write);
        assert_eq!(reports.read(&mut message).unwrap(), 0);
        super::super::reap::discard(run.supervisor);
        assert!(run.memory.ended());
    }

    #[test]
    fn a_failed_start_says_where() {
        let error = start_supervised(&Launch::new(c"/nonexistent".to_owned())).unwrap_err();
        assert_eq!((error.stage, error.errno), (Stage::Program, libc::ENOENT));
    }
}
