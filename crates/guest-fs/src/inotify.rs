//! Waiting for what inotify has to say.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::inotify::{self, CreateFlags};
use tokio::net::unix::pipe::Receiver;

/// A fresh instance; reading it never blocks.
pub(crate) fn instance() -> rustix::io::Result<OwnedFd> {
    inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
}

/// Tells when an instance can be read.
pub(crate) struct Alarm(Receiver);

impl Alarm {
    /// An alarm for `instance`. Must be called inside a Tokio runtime.
    pub(crate) fn new(instance: &OwnedFd) -> io::Result<Self> {
        // To the runtime, one descriptor that can be polled is like another.
        Receiver::from_owned_fd_unchecked(instance.try_clone()?).map(Self)
    }

    /// Waits until there is something to read.
    pub(crate) async fn rings(&self) -> io::Result<()> {
        self.0.readable().await
    }

    /// To be called once everything was read. Too short for any announcement, this reads nothing; that
    /// there was none is what the runtime has to see.
    pub(crate) fn reset(&self) {
        let _ = self.0.try_read(&mut [0]);
    }
}
