//! Starting one process.

use std::os::fd::AsRawFd;

use super::error::{LaunchError, Stage};
use super::exec::become_program;
use super::launch::Launch;
use super::prepare::Prepared;
use super::raw::{self, CloneArgs};

/// Starts a process and answers, with its pid, when the program has been executed or could not be.
/// Blocks for that long (about as long as `posix_spawn`). The pid, which is also its process group
/// and session, stays its own until the caller has reaped it.
///
/// # Errors
///
/// [`LaunchError`] with the step that failed; then no process is left.
pub fn start(launch: &Launch) -> Result<i32, LaunchError> {
    let mut prepared = Prepared::new(launch)?;
    let mut args = CloneArgs {
        flags: (libc::CLONE_VM | libc::CLONE_VFORK) as u64 | raw::CLONE_CLEAR_SIGHAND,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = &launch.cgroup {
        args.flags |= raw::CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    let pid = {
        let _blocked = BlockedSignals::new();
        // SAFETY: VM and VFORK together, and `prepared` is not touched until the child has left
        // this memory; all signals are blocked in the child.
        unsafe { raw::clone3(&args, become_program, (&raw mut prepared).cast()) }
    };
    if pid < 0 {
        return Err(LaunchError::new(Stage::Clone, (-pid) as i32));
    }
    let pid = pid as i32;
    // SAFETY: `prepared` is ours; volatile because the compiler did not see the child write.
    let failed = unsafe { (&raw const prepared.failed_stage).read_volatile() };
    if failed != 0 {
        // SAFETY: as above.
        let errno = unsafe { (&raw const prepared.failed_errno).read_volatile() };
        super::reap::discard(pid);
        return Err(LaunchError::new(Stage::from_u8(failed), errno));
    }
    Ok(pid)
}

/// Blocks every signal of this thread until dropped, so that no handler runs in a child that
/// shares this memory.
pub(super) struct BlockedSignals(u64);

impl BlockedSignals {
    pub(super) fn new() -> Self {
        let (all, mut old) = (u64::MAX, 0u64);
        let (set, out) = (&raw const all, &raw mut old);
        // SAFETY: both point to the 8 bytes of a kernel signal set.
        unsafe { raw::call!(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, set, out, 8) };
        Self(old)
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        let old = &raw const self.0;
        // SAFETY: points to the 8 bytes of a kernel signal set.
        unsafe { raw::call!(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, old, 0, 8) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use rustix::process::{WaitId, WaitIdOptions};

    use super::super::{Ids, Input};
    use super::*;

    fn shell(script: &str) -> Launch {
        let script = std::ffi::CString::new(script).unwrap();
        let mut launch = Launch::new(c"/bin/sh".to_owned()).arg(c"-c").arg(script);
        launch.envp.push(c"PATH=/usr/bin:/bin".to_owned());
        launch
    }

    fn wait(pid: i32) -> i32 {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        let status = rustix::process::waitid(WaitId::Pid(pid), WaitIdOptions::EXITED);
        let status = status.unwrap().unwrap();
        status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0))
            as i32
    }

    fn output(mut launch: Launch) -> (i32, String) {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        launch.stderr = Input::Fd(write.try_clone().unwrap());
        launch.stdout = Input::Fd(write);
        let started = start(&launch).unwrap();
        drop(launch);
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        (wait(started), text)
    }

    #[test]
    fn runs_and_exits() {
        assert_eq!(output(shell("echo hello; exit 3")), (3, "hello\n".into()));
    }

    #[test]
    fn a_failed_start_says_where_and_leaves_nothing() {
        let missing = start(&Launch::new(c"/nonexistent/program".to_owned())).unwrap_err();
        assert_eq!((missing.stage, missing.errno), (Stage::Program, libc::ENOENT));
        let refused = start(&Launch::new(c"/etc/passwd".to_owned())).unwrap_err();
        assert_eq!((refused.stage, refused.errno), (Stage::Program, libc::EACCES));
        let mut launch = shell("true");
        launch.cwd = c"/etc/passwd".to_owned();
        let error = start(&launch).unwrap_err();
        assert_eq!((error.stage, error.errno), (Stage::WorkingDirectory, libc::ENOTDIR));
        assert_eq!(error.os_text(), "Not a directory");
    }

    #[test]
    fn candidates_are_tried_in_order() {
        let mut launch = shell("echo found");
        launch.programs.insert(0, c"/nonexistent/sh".to_owned());
        launch.programs.insert(1, c"/etc/passwd/sh".to_owned());
        assert_eq!(output(launch), (0, "found\n".into()));
        let mut launch = shell("true");
        launch.programs = vec![c"/etc/passwd".to_owned(), c"/nonexistent/sh".to_owned()];
        assert_eq!(start(&launch).unwrap_err().errno, libc::EACCES);
    }

    #[test]
    fn only_the_named_descriptors_are_open() {
        let keep = File::open("/etc/hostname").unwrap();
        let _kept_out = rustix::io::fcntl_dupfd_cloexec(&keep, 200).unwrap();
        let mut launch = shell("ls /proc/self/fd | tr '\\n' ' '");
        launch.extra_fds.push((keep.into(), 9));
        // ls has its own directory open as the lowest free number.
        assert_eq!(output(launch), (0, "0 1 2 3 9 ".into()));
    }

    #[test]
    fn crossing_descriptors_do_not_overwrite_each_other() {
        // Sources that sit exactly at the other's target.
        let (read_a, write_a) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (read_b, write_b) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let write_a = rustix::io::fcntl_dupfd_cloexec(&write_a, 300).unwrap();
        let write_b = rustix::io::fcntl_dupfd_cloexec(&write_b, write_a.as_raw_fd() + 1).unwrap();
        let (a, b) = (write_a.as_raw_fd(), write_b.as_raw_fd());
        let mut launch = shell(&format!("eval 'echo to-b >&{b}; echo to-a >&{a}'"));
        launch.programs = vec![c"/bin/bash".to_owned()];
        launch.extra_fds = vec![(write_a, b), (write_b, a)];
        let started = start(&launch).unwrap();
        drop(launch);
        assert_eq!(wait(started), 0);
        let read = |fd| {
            let mut bytes = [0; 16];
            let n = File::from(fd).read(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..n]).into_owned()
        };
        assert_eq!((read(read_a), read(read_b)), ("to-b\n".into(), "to-a\n".into()));
    }

    #[test]
    fn signals_masks_and_privileges_start_clean() {
        let (code, text) = output(shell(
            "grep -E '^(SigBlk|SigIgn|NoNewPrivs|CapEff|CapPrm|CapInh|CapBnd|CapAmb):' /proc/self/status; umask; ulimit -c",
        ));
        assert_eq!(code, 0);
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name {
                "NoNewPrivs" => assert_eq!(value, "1"),
                // The bounding set can only be emptied by who may empty it.
                "CapBnd" if !rustix::process::geteuid().is_root() => {}
                _ => assert_eq!(u64::from_str_radix(value, 16).unwrap(), 0, "{name}"),
            }
        }
        assert!(text.ends_with("0022\n0\n"), "{text}");
    }

    #[test]
    fn root_becomes_another_user_or_a_harmless_root() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let mut launch = shell("id -u; id -g; id -G; grep CapEff /proc/self/status");
        launch.ids = Some(Ids { uid: 1234, gid: 2345, groups: vec![2345, 3456] });
        let (_, text) = output(launch);
        assert_eq!(text, "1234\n2345\n2345 3456\nCapEff:\t0000000000000000\n");
        let mut launch = shell("id -u; grep -E 'CapEff|CapBnd' /proc/self/status");
        launch.root_caps = true;
        let (_, text) = output(launch);
        assert_eq!(text, "0\nCapEff:\t00000000000004ff\nCapBnd:\t00000000000004ff\n");
    }

    #[test]
    fn is_a_session_and_group_of_its_own() {
        let (_, text) = output(shell("cut -d' ' -f1,5,6 /proc/$$/stat"));
        let ids: Vec<&str> = text.split_whitespace().collect();
        assert!(ids[0] == ids[1] && ids[1] == ids[2], "{text}");
    }

    #[test]
    fn standard_input_reaches_it() {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let mut launch = shell("cat");
        launch.stdin = Input::Fd(read);
        let mut write = File::from(write);
        write.write_all(b"through").unwrap();
        drop(write);
        assert_eq!(output(launch), (0, "through".into()));
    }
}
