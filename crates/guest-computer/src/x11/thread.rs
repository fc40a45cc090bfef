//! The thread that owns the connection.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::sync::oneshot;

use super::server::Server;
use super::{Failure, Result};

/// Its stack, bytes: it calls nothing deep.
const STACK: usize = 512 * 1024;

/// One thing to do; answers whether the connection is still of use.
pub(super) type Job = Box<dyn FnOnce(&mut Server) -> bool + Send>;

/// A running thread. Hangs up when dropped, which ends it.
pub(super) struct Thread {
    jobs: mpsc::Sender<Job>,
    wake: Arc<OwnedFd>,
    socket: UnixStream,
    ended: Arc<AtomicBool>,
}

impl Thread {
    /// Connects to the display and answers when it can take jobs; lets go of what is down there first
    /// where a connection before it was lost.
    pub(super) async fn start(number: u32, hidden: bool, lost_before: bool) -> Result<Self> {
        let lost = |error: io::Error| Failure::Lost(error.to_string());
        let socket = connect(number).map_err(lost)?;
        let theirs = socket.try_clone().map_err(lost)?;
        let wake = Arc::new(
            eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .map_err(|error| lost(error.into()))?,
        );
        let (jobs, queue) = mpsc::channel();
        let ended = Arc::new(AtomicBool::new(false));
        let thread = Self { jobs, wake: Arc::clone(&wake), socket, ended: Arc::clone(&ended) };
        let (ready, is_ready) = oneshot::channel();
        std::thread::Builder::new()
            .name("computer".into())
            .stack_size(STACK)
            .spawn(move || {
                match Server::set_up(theirs, hidden, lost_before) {
                    Ok(mut server) => {
                        if ready.send(Ok(())).is_ok() {
                            let error = serve(&mut server, &queue, &wake);
                            tracing::debug!(?error, "the connection to the X server ended");
                        }
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                    }
                }
                ended.store(true, Ordering::Release);
            })
            .map_err(lost)?;
        is_ready.await.unwrap_or_else(|_| Err(Failure::Lost("the thread ended".into())))?;
        Ok(thread)
    }

    pub(super) fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Hands it a job; false when the thread is gone.
    pub(super) fn send(&self, job: Job) -> bool {
        let sent = self.jobs.send(job).is_ok();
        self.wake();
        sent
    }

    fn wake(&self) {
        // It fails only when the counter is full, and then the thread is running.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // A server that does not answer keeps a thread in a read, which this ends.
        let _ = self.socket.shutdown(Shutdown::Both);
        self.wake();
    }
}

/// Never waits: a server that takes no connections is as good as none.
fn connect(number: u32) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(format!("/tmp/.X11-unix/X{number}"))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket.into())
}

/// Does jobs and answers events until the connection fails or the other end is dropped.
fn serve(server: &mut Server, queue: &mpsc::Receiver<Job>, wake: &OwnedFd) -> Result<()> {
    loop {
        let mut count = [0; 8];
        let _ = rustix::io::read(wake, &mut count);
        loop {
            match queue.try_recv() {
                Ok(job) => {
                    if !job(server) {
                        return Err(Failure::Lost("during a job".into()));
                    }
                }
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
            }
        }
        server.heed_events()?;
        let mut descriptors = [
            PollFd::from_borrowed_fd(server.descriptor(), PollFlags::IN),
            PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN),
        ];
        match poll(&mut descriptors, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::Lost(error.to_string())),
        }
    }
}
