//! The zygotes of a Chromium, from which it forks its other processes.
//!
//! All renderers are forked from one, live in its pid namespace and end with it. Chromium goes on
//! without it and never starts another, so that no page could be opened any more. It ends where a
//! session has no room for more processes, because a fork that fails is fatal to it.

use std::io;

use browserd_guest_session::procfs;
use futures_util::future::select_all;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::net::unix::pipe::Receiver;

/// What the command line of one has.
const ZYGOTE: &[u8] = b"--type=zygote";

/// Resolves when a zygote has ended that a Chromium has now; never, where none is found.
pub(super) async fn ended(chromium: i32) {
    let children = procfs::children(chromium).unwrap_or_default();
    let zygotes = children.into_iter().filter(|pid| procfs::has_argument(*pid, ZYGOTE));
    let watched: Vec<_> = zygotes.filter_map(|pid| watch(Pid::from_raw(pid)?).ok()).collect();
    if watched.is_empty() {
        tracing::warn!(
            "Chromium's zygote process was not found; if it dies alone, Chromium is not restarted"
        );
        return std::future::pending().await;
    }
    // The descriptor of a process can be read from once it has ended.
    let ends = watched.iter().map(|zygote| Box::pin(zygote.readable()));
    let _ = select_all(ends).await;
}

fn watch(pid: Pid) -> io::Result<Receiver> {
    // No pipe, but all that is wanted of it is that it can be waited for like one.
    Receiver::from_owned_fd_unchecked(pidfd_open(pid, PidfdFlags::NONBLOCK)?)
}
