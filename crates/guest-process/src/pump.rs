//! Moving what a process writes to where it is kept, until the process has exited.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use browserd_guest_session::{Child, ExitStatus};
use parking_lot::Mutex;
use tokio::net::unix::pipe;

use super::spool::{MAX_PAYLOAD, Stream};

/// Bytes read at once: four of the longest frames that output is kept in.
const READ: usize = 4 * MAX_PAYLOAD;
/// A read of so many bytes, a pipe's usual capacity, is of a process that writes more than it is
/// read.
const FLOOD: usize = 64 * 1024;
/// Capacity of the pipe of such a process: fewer switches between writer and reader. Not every
/// pipe's from the start, because the kernel counts the capacities of all pipes of a user, and gives
/// very small ones to those that have many.
const PIPE: usize = 1 << 20;
/// Most bytes read of one stream after the exit: more than a pipe or terminal can hold, so all that
/// was written before the exit, but an end even if something else goes on writing.
const DRAIN: usize = 2 << 20;
/// A read of so many bytes is followed by a turn of others: requests are answered while a process
/// floods, and what it writes meanwhile is then read and stored in one piece. Of shorter reads a
/// few may follow each other.
const MUCH: usize = 4096;
/// Most streams whose process has exited that are read on (and thrown away).
const DISCARDED: usize = 2048;

/// The guest's ends of a process's output.
#[derive(Debug)]
pub(super) struct Streams {
    stdout: Option<Source>,
    stderr: Option<Source>,
}

/// The guest's end of one stream: a pipe or a terminal.
#[derive(Debug)]
struct Source {
    file: pipe::Receiver,
    /// Has the capacity it can have.
    large: bool,
}

impl Source {
    /// Takes note of a read of `n` bytes.
    fn has_read(&mut self, n: usize) {
        if n >= FLOOD && !self.large {
            self.large = true;
            // Refused when the user's share of pipe memory is used up; the usual size does too.
            let _ = rustix::pipe::fcntl_setpipe_size(&self.file, PIPE);
        }
    }
}

/// A pipe for one output stream: the guest's end, the process's end.
pub(super) fn output_pipe() -> io::Result<(pipe::Receiver, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
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
            take_turns(self.read(slot, |bytes| sink(stream, bytes))).await;
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
    fn read(&self, slot: &mut Option<Source>, sink: impl FnOnce(&[u8])) -> usize {
        let Some(source) = slot else { return 0 };
        let mut buffer = self.buffer.lock();
        match source.file.try_read(&mut buffer) {
            Ok(0) => *slot = None,
            Ok(n) => {
                source.has_read(n);
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
    fn read_now(&self, slot: &mut Option<Source>, sink: impl FnOnce(&[u8])) -> usize {
        let Some(source) = slot else { return 0 };
        let mut buffer = self.buffer.lock();
        match rustix::io::retry_on_intr(|| rustix::io::read(&source.file, buffer.as_mut_slice())) {
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
                    take_turns(pumps.read(&mut slot, |_| {})).await;
                }
                pumps.discarding.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }
}

impl Streams {
    /// Of separate pipes.
    pub(super) fn pipes(stdout: pipe::Receiver, stderr: pipe::Receiver) -> Self {
        let source = |file| Some(Source { file, large: false });
        Self { stdout: source(stdout), stderr: source(stderr) }
    }

    /// Of a terminal, which has one stream.
    pub(super) fn terminal(ours: OwnedFd) -> io::Result<Self> {
        let file = pipe::Receiver::from_owned_fd_unchecked(ours)?;
        Ok(Self { stdout: Some(Source { file, large: true }), stderr: None })
    }
}

/// Lets others run after a read of `n` bytes.
async fn take_turns(n: usize) {
    if n >= MUCH {
        tokio::task::yield_now().await;
    } else {
        // The runtime's own measure of how long a task may go on without waiting for anything.
        tokio::task::coop::consume_budget().await;
    }
}

/// Resolves when a stream can be read or has ended; never for one that is closed already.
async fn readable(source: Option<&Source>) {
    match source {
        // An error shows itself at the read.
        Some(source) => drop(source.file.readable().await),
        None => std::future::pending().await,
    }
}
