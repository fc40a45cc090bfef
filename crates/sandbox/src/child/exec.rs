//! What runs in the child between `clone3` and `execve`.

use std::ffi::c_void;

use super::error::Stage;
use super::prepare::Prepared;
use super::raw::{call, exit};

/// Capabilities a session's root keeps: all of them act on things of the session's own user
/// namespace only. By number: CHOWN, `DAC_OVERRIDE`, `DAC_READ_SEARCH`, FOWNER, FSETID, KILL,
/// SETGID, SETUID, `NET_BIND_SERVICE`.
const ROOT_CAPS: u64 = 0x4ff;
/// One more than the highest capability number the kernel could know.
const CAP_END: u64 = 64;
const CAP_VERSION_3: u32 = 0x2008_0522;

type Step = Result<(), (Stage, i32)>;

/// The child's entry: makes itself what `context` (a [`Prepared`]) says and becomes the program. On
/// failure writes stage and errno there and exits.
///
/// # Safety
///
/// `context` points to a [`Prepared`] that nobody else touches until this process has left the
/// shared memory; every signal is blocked.
pub(super) unsafe extern "C" fn become_program(context: *mut c_void) -> ! {
    // SAFETY: the caller passes a Prepared and is suspended meanwhile.
    let prepared = unsafe { &mut *context.cast::<Prepared>() };
    // SAFETY: only raw system calls on the prepared data, as the module promises.
    if let Err((stage, errno)) = unsafe { run(prepared) } {
        prepared.failed_stage = stage as u8;
        prepared.failed_errno = errno;
    }
    exit(127)
}

fn check(stage: Stage, result: isize) -> Result<isize, (Stage, i32)> {
    if result < 0 { Err((stage, (-result) as i32)) } else { Ok(result) }
}

/// # Safety
///
/// As [`become_program`].
unsafe fn run(p: &mut Prepared) -> Step {
    // SAFETY: raw system calls; every pointer comes from the prepared data or the local stack.
    unsafe {
        check(Stage::Session, call!(libc::SYS_setsid))?;
        if p.tty >= 0 {
            check(Stage::Terminal, call!(libc::SYS_ioctl, p.tty, libc::TIOCSCTTY, 0))?;
        }
        descriptors(p)?;
        for limit in &p.limits {
            let value = [limit.soft, limit.hard];
            let set = call!(libc::SYS_prlimit64, 0, limit.resource, value.as_ptr(), 0);
            check(Stage::Limits, set)?;
        }
        call!(libc::SYS_umask, 0o022);
        identity(p)?;
        check(Stage::Privileges, call!(libc::SYS_prctl, libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        check(Stage::WorkingDirectory, call!(libc::SYS_chdir, p.cwd))?;
        default_dispositions();
        let empty = 0u64;
        call!(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const empty, 0, 8);
        Err((Stage::Program, execute(p)))
    }
}

/// Puts every descriptor at its number and closes all others.
///
/// # Safety
///
/// As [`become_program`].
unsafe fn descriptors(p: &mut Prepared) -> Step {
    // SAFETY: plain descriptor numbers.
    unsafe {
        // First out of the way of the targets, so that no move overwrites a source.
        for (source, _) in &mut p.moves {
            let moved = call!(libc::SYS_fcntl, *source, libc::F_DUPFD_CLOEXEC, p.above);
            *source = check(Stage::Descriptors, moved)? as i32;
        }
        let mut next = 0;
        for (source, target) in &p.moves {
            if *target > next {
                call!(libc::SYS_close_range, next, target.wrapping_sub(1), 0);
            }
            check(Stage::Descriptors, call!(libc::SYS_dup3, *source, *target, 0))?;
            next = target.wrapping_add(1);
        }
        check(Stage::Descriptors, call!(libc::SYS_close_range, next, u32::MAX, 0))?;
    }
    Ok(())
}

/// Drops capabilities and becomes the user.
///
/// # Safety
///
/// As [`become_program`].
unsafe fn identity(p: &Prepared) -> Step {
    let keep = if p.root_caps { ROOT_CAPS } else { 0 };
    // SAFETY: raw system calls; structures live on this stack.
    unsafe {
        let mut cap = 0;
        while cap < CAP_END {
            if keep & (1 << cap) == 0 {
                let dropped = call!(libc::SYS_prctl, libc::PR_CAPBSET_DROP, cap, 0, 0, 0);
                // EINVAL: past the last capability. EPERM: without SETPCAP there is nothing a
                // program could gain either, because of no_new_privs.
                if dropped == -(libc::EINVAL as isize) || dropped == -(libc::EPERM as isize) {
                    break;
                }
            }
            cap = cap.wrapping_add(1);
        }
        let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL;
        call!(libc::SYS_prctl, libc::PR_CAP_AMBIENT, clear, 0, 0, 0);
        if let Some((uid, gid)) = p.ids {
            let groups = call!(libc::SYS_setgroups, p.groups.len(), p.groups.as_ptr());
            check(Stage::Identity, groups)?;
            check(Stage::Identity, call!(libc::SYS_setresgid, gid, gid, gid))?;
            check(Stage::Identity, call!(libc::SYS_setresuid, uid, uid, uid))?;
        }
        let header = [CAP_VERSION_3, 0];
        // effective, permitted, inheritable for capabilities 0-31, then the same for 32-63.
        let mut sets = [0u32; 6];
        check(Stage::Privileges, call!(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()))?;
        let keep_low = keep as u32;
        let sets = [sets[0] & keep_low, sets[1] & keep_low, 0, 0, 0, 0];
        check(Stage::Privileges, call!(libc::SYS_capset, header.as_ptr(), sets.as_ptr()))?;
    }
    Ok(())
}

/// Default disposition for every signal; `CLONE_CLEAR_SIGHAND` leaves the ignored ones ignored.
///
/// # Safety
///
/// As [`become_program`]; the process has signal handlers of its own (no `CLONE_SIGHAND`).
pub(super) unsafe fn default_dispositions() {
    let action = [0usize; 4];
    let mut signal = 1;
    while signal <= 64 {
        // SAFETY: an all-zero kernel sigaction is SIG_DFL without flags; sizes match the kernel's.
        unsafe { call!(libc::SYS_rt_sigaction, signal, action.as_ptr(), 0, 8) };
        signal += 1;
    }
}

/// Tries each candidate as `execvp` does; returns the errno when none could be executed.
///
/// # Safety
///
/// As [`become_program`].
unsafe fn execute(p: &Prepared) -> i32 {
    let mut verdict = libc::ENOENT;
    for program in &p.programs {
        if program.is_null() {
            break;
        }
        // SAFETY: NUL-terminated strings and null-terminated arrays, alive until execve.
        let failed = unsafe { call!(libc::SYS_execve, *program, p.argv.as_ptr(), p.envp.as_ptr()) };
        let errno = (-failed) as i32;
        match errno {
            // Not there: the next candidate may be. A refusal is remembered over an absence.
            libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG | libc::ELOOP => {
                if verdict == libc::ENOENT {
                    verdict = errno;
                }
            }
            libc::EACCES => verdict = libc::EACCES,
            _ => return errno,
        }
    }
    verdict
}
