//! A user namespace for a session, made by the session's own uid.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::process::{Resource, Rlimit, WaitId, WaitIdOptions, setrlimit, waitid};

use crate::budgets::{self, Counts};
use crate::error::Step;
use crate::sys::{self, Fork};
use crate::uids::{self, Range};
use crate::{WallError, handover};

/// A user namespace with the whole range mapped, held by the descriptor alone. The caller must be
/// single-threaded.
pub(crate) fn make(range: &Range) -> Result<OwnedFd, WallError> {
    let (mut ours, theirs) = UnixStream::pair().step("make a socket pair")?;
    let fork = sys::fork(0, None).step("clone the namespace's maker")?;
    let Fork::Parent { pid, pidfd } = fork else {
        drop(ours);
        if let Err(error) = make_and_wait(range, &theirs) {
            handover::tell(&theirs, &error);
        }
        std::process::exit(0);
    };
    drop(theirs);
    let made =
        handover::receive(&mut ours, "wait for the user namespace").and_then(|(made, ..)| {
            let map = format!("0 {} {}", range.base, uids::SIZE);
            sys::write_proc(pid, "uid_map", &map).step("write uid_map")?;
            sys::write_proc(pid, "gid_map", &map).step("write gid_map")?;
            Ok(made)
        });
    let _ = ours.write_all(b"x");
    waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)
        .step("reap the namespace's maker")?;
    made
}

/// The child's half: becomes the uid that all is counted for, makes the namespace, and stays in it until
/// its ids are mapped.
fn make_and_wait(range: &Range, mut socket: &UnixStream) -> Result<(), WallError> {
    // The namespace as a whole gets the limits its maker has.
    budgets::limit(Counts::Own)?;
    // Processes are the cgroup's to limit. Not every root may raise this, and then it stays as it was.
    let _ = setrlimit(Resource::Nproc, Rlimit { current: None, maximum: None });
    // Where only the powerful may make user namespaces; elsewhere it is not needed.
    let _ = sys::keep_capabilities();
    sys::become_ids(range.base, range.base).step("become the session's own uid")?;
    sys::new_user_namespace().step("make a user namespace")?;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let made = rustix::fs::open("/proc/self/ns/user", flags, rustix::fs::Mode::empty())
        .step("open the user namespace")?;
    handover::send(socket, &[made.as_fd()], None).step("hand over the user namespace")?;
    let _ = socket.read(&mut [0]);
    Ok(())
}
