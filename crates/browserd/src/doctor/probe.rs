//! Tries, in a process of its own, to make the namespaces Chromium's sandbox and a session without root are
//! made of (as an ordinary user), and to set up a session's network (as who we are). What the knobs say is one thing; containers, security
//! modules and seccomp filters have their own opinion, and only trying shows it.
//!
//! ```text
//!  doctor ──spawn /proc/self/exe, as nobody when root──▶ doctor --probe-userns
//!         ◀──────── "ok" or "step: error" ─────────────── unshare(user), uid_map, unshare(others)
//!         ──spawn /proc/self/exe──────────────────────▶ doctor --probe-network
//! ```

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use rustix::thread::UnshareFlags;

use super::gather::run_bounded;

/// The overflow uid: nobody in particular.
const NOBODY: u32 = 65_534;
const DONE: &str = "ok";

/// Has an ordinary user try to make namespaces, and says how it went.
pub(super) fn try_user_namespaces() -> Result<(), String> {
    let mut command = probe("--probe-userns");
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    outcome(command)
}

/// Tries to set up a session's network, and says how it went.
pub(super) fn try_network() -> Result<(), String> {
    outcome(probe("--probe-network"))
}

fn probe(flag: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("browserd").args(["doctor", flag]).env_clear().stdin(Stdio::null());
    command
}

fn outcome(command: Command) -> Result<(), String> {
    match run_bounded(command) {
        Ok(said) if said == DONE => Ok(()),
        Ok(said) if said.is_empty() => Err("the attempt ended without a word".to_owned()),
        Ok(said) => Err(said),
        Err(why) => Err(format!("the attempt could not be started: {why}")),
    }
}

/// An attempt itself: `browserd doctor --probe-userns` and the like.
pub(super) fn run(steps: fn() -> Result<(), String>) -> Result<ExitCode> {
    let outcome = steps().err().unwrap_or_else(|| DONE.to_owned());
    writeln!(std::io::stdout(), "{outcome}").context("cannot say how it went")?;
    Ok(ExitCode::SUCCESS)
}

/// Makes every kind of namespace a session takes, also nested.
pub(super) fn user_namespaces() -> Result<(), String> {
    own_user_namespace()?;
    for (flag, step) in [
        (UnshareFlags::NEWNS, "make a mount namespace"),
        (UnshareFlags::NEWNET, "make a network namespace"),
        (UnshareFlags::NEWIPC, "make an IPC namespace"),
        (UnshareFlags::NEWUTS, "make a UTS namespace"),
        (UnshareFlags::NEWPID, "make a pid namespace"),
        (UnshareFlags::NEWUSER, "make a user namespace inside a user namespace"),
    ] {
        unshare(flag, step)?;
    }
    Ok(())
}

/// Sets up a network as a session of this user has it.
pub(super) fn network() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        own_user_namespace()?;
    }
    unshare(UnshareFlags::NEWNET, "make a network namespace")?;
    browserd_sandbox::network::try_out(&browserd_shim::NETWORK).map_err(|why| why.to_string())
}

fn own_user_namespace() -> Result<(), String> {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    unshare(UnshareFlags::NEWUSER, "make a user namespace")?;
    let write = |file: &str, text: &str| {
        std::fs::write(file, text).map_err(|why| format!("write {file}: {why}"))
    };
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("0 {uid} 1"))?;
    // A user without a group inside could not make the nested one.
    write("/proc/self/gid_map", &format!("0 {gid} 1"))
}

fn unshare(flag: UnshareFlags, step: &str) -> Result<(), String> {
    // Deprecated because unsharing the table of descriptors can leave other threads with dangling
    // ones. This process has one thread, and only namespaces are asked for.
    #[expect(deprecated)]
    let outcome = rustix::thread::unshare(flag);
    outcome.map_err(|why| format!("{step}: {why}"))
}
