//! Moving what a process writes to where it is kept, until the process has exited.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::net::unix::pipe;

use super::spool::Stream;
use crate::init::{Child, ExitStatus};

/// Bytes read at once.
const READ: usize = 64 * 1024;
/// Capacity asked for the pipes of spawned processes: fewer switches between writer and reader.
const PIPE: usize = 256 * 1024;
/// Most bytes read of one stream after the exit: more than a pipe or terminal can hold, so all that
/// was written before the exit, but an end even if something else goes on writing.
const DRAIN: usize = 1 << 20;
/// A read of so many bytes is followed by a turn of others: requests are answered while a process
/// floods, and what it writes meanwhile is then read and stored in one piece.
const MUCH: usize = 4096;
/// Most streams whose process has exited that are read on (and thrown away).
const DISCARDED: usize = 2048;

/// The guest's ends of a process's output.
#[derive(Debug)]
pub(super) struct Streams {
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
}

/// A pipe for one output stream: the guest's end, the process's end.
pub(super) fn output_pipe() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    // Refused when the user's share of pipe memory is used up; the usual size does too.
    let _ = rustix::pipe::fcntl_setpipe_size(&read, PIPE);
    Ok((pipe::Receiver::from_owned_fd(read)?, write))
}

/// What all pumps share: one buffer, used between two awaits only, and the count of discarders.
#[derive(Debug, Clone)]
pub(super) struct Pumps {
    buffer: Arc<Mutex<Vec<u8>>>,
    discarding: Arc<AtomicUsize>,
}

impl Pumps {
    pub(super) fn new() -> Self {
        Self { buffer: Arc::new(Mutex::new(vec![0; READ])), discarding: Arc::default() }
    }

    /// Hands everything `child` writes to `sink` until it has exited and what it wrote before is
    /// read. Does not wait for what it started, even if that holds the streams open.
    pub(super) async fn run(
        &self,
        streams: &mut Streams,
        child: &mut Child,
        mut sink: impl FnMut(Stream, &[u8]),
    ) -> ExitStatus {
        let status = loop {
            let (stream, slot) = tokio::select! {
                status = child.wait() => break status,
                () = readable(streams.stdout.as_ref()) => (Stream::Stdout, &mut streams.stdout),
                () = readable(streams.stderr.as_ref()) => (Stream::Stderr, &mut streams.stderr),
            };
            if self.read(slot, |bytes| sink(stream, bytes)) >= MUCH {
                tokio::task::yield_now().await;
            }
        };
        for (stream, slot) in
            [(Stream::Stdout, &mut streams.stdout), (Stream::Stderr, &mut streams.stderr)]
        {
            let mut left = DRAIN;
            while slot.is_some() && left > 0 {
                match self.read_now(slot, |bytes| sink(stream, bytes)) {
                    0 => break,
                    n => left = left.saturating_sub(n),
                }
            }
        }
        status
    }

    /// Reads once; 0 when there is nothing to read now. Closes the stream at its end.
    fn read(&self, slot: &mut Option<pipe::Receiver>, sink: impl FnOnce(&[u8])) -> usize {
        let Some(stream) = slot else { return 0 };
        let mut buffer = self.buffer.lock();
        match stream.try_read(&mut buffer) {
            Ok(0) => *slot = None,
            Ok(n) => {
                sink(&buffer[..n]);
                return n;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // A terminal ends with EIO.
            Err(_) => *slot = None,
        }
        0
    }

    /// Reads once, whatever the runtime knows: it learns of an exit and of what was written before it
    /// in any order, and until it has learnt of the latter, [`Self::read`] finds nothing.
    fn read_now(&self, slot: &mut Option<pipe::Receiver>, sink: impl FnOnce(&[u8])) -> usize {
        let Some(stream) = slot else { return 0 };
        let mut buffer = self.buffer.lock();
        match rustix::io::retry_on_intr(|| rustix::io::read(&*stream, buffer.as_mut_slice())) {
            Ok(0) => *slot = None,
            Ok(n) => {
                sink(&buffer[..n]);
                return n;
            }
            Err(rustix::io::Errno::AGAIN) => {}
            // A terminal ends with EIO.
            Err(_) => *slot = None,
        }
        0
    }

    /// Reads on and throws away what something left in the background writes, so that it neither
    /// blocks nor dies of a closed pipe.
    pub(super) fn discard(&self, streams: Streams) {
        for mut slot in [streams.stdout, streams.stderr] {
            if slot.is_none() || self.discarding.load(Ordering::Relaxed) >= DISCARDED {
                continue;
            }
            self.discarding.fetch_add(1, Ordering::Relaxed);
            let pumps = self.clone();
            tokio::spawn(async move {
                while slot.is_some() {
                    readable(slot.as_ref()).await;
                    pumps.read(&mut slot, |_| {});
                }
                pumps.discarding.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}

impl Streams {
    /// Of separate pipes.
    pub(super) fn pipes(stdout: pipe::Receiver, stderr: pipe::Receiver) -> Self {
        Self { stdout: Some(stdout), stderr: Some(stderr) }
    }

    /// Of a terminal, which has one stream.
    pub(super) fn terminal(ours: OwnedFd) -> io::Result<Self> {
        Ok(Self { stdout: Some(pipe::Receiver::from_owned_fd_unchecked(ours)?), stderr: None })
    }
}

/// Resolves when a stream can be read or has ended; never for one that is closed already.
async fn readable(stream: Option<&pipe::Receiver>) {
    match stream {
        // An error shows itself at the read.
        Some(stream) => drop(stream.readable().await),
        None => std::future::pending().await,
    }
}
