//! One worker process.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;

use browserd_guest_process::{Group, Groups};
use browserd_guest_session::environment::{self, User};
use browserd_guest_session::{Child, ExitStatus};
use browserd_protocol::inside;
use browserd_sandbox::child::{Input, Launch};
use rustix::pipe::{PipeFlags, pipe_with};
use serde::Serialize;
use tokio::net::unix::pipe;

use super::lines::Lines;
use super::{HEAP_MIB, Kit};

/// Bytes read at once.
const READ: usize = 64 * 1024;
/// Most bytes read of one stream after the end: more than a pipe holds, but an end.
const DRAIN: usize = 1 << 20;
/// How long a killed worker may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// What a worker did.
#[derive(Debug)]
pub(crate) enum Event {
    /// It answered a line.
    Line(Vec<u8>),
    /// It wrote to standard output.
    Stdout(Vec<u8>),
    /// It wrote to standard error.
    Stderr(Vec<u8>),
    /// It ended; everything it wrote before was told.
    Exited(ExitStatus),
    /// It sent a line over the limit.
    TooLong,
}

/// A worker; dropping it kills it and everything it started.
pub(crate) struct Worker {
    child: Child,
    group: Option<Group>,
    groups: Arc<Groups>,
    requests: pipe::Sender,
    /// What of requests is not written yet.
    unwritten: Vec<u8>,
    answers: Option<pipe::Receiver>,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    lines: Lines,
    ended: Option<ExitStatus>,
    drained: usize,
    buffer: Vec<u8>,
}

impl Worker {
    /// Starts the runner `file`, whose answers have at most `line_limit` bytes a line.
    ///
    /// # Errors
    ///
    /// When the process cannot be started; nothing is left then.
    pub(crate) fn start(kit: &Kit, file: &str, line_limit: usize) -> io::Result<Self> {
        let session = &kit.session;
        let node = session.spec.programs.node.as_deref().ok_or(io::ErrorKind::NotFound)?;
        let (requests_theirs, requests) = pipe_with(PipeFlags::CLOEXEC)?;
        let (answers, answers_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stdout, stdout_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, stderr_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut launch = Launch::new(CString::new(node.as_os_str().as_bytes())?)
            .arg(CString::new(format!("--max-old-space-size={HEAP_MIB}"))?)
            .arg(CString::new(format!("{}/{file}", inside::NODE_RUNNERS))?);
        launch.envp = environment::to_envp(&environment::base(session, &User::browser(session)));
        launch.cwd = CString::new(session.places.home.as_os_str().as_bytes())?;
        launch.ids = session.browser_ids();
        launch.limits = vec![session.descriptor_limit];
        launch.stdout = Input::Fd(stdout_theirs);
        launch.stderr = Input::Fd(stderr_theirs);
        launch.extra_fds = vec![(requests_theirs, 3), (answers_theirs, 4)];
        let receiver = |fd: OwnedFd| pipe::Receiver::from_owned_fd(fd).map(Some);
        let requests = pipe::Sender::from_owned_fd(requests)?;
        let (answers, stdout, stderr) = (receiver(answers)?, receiver(stdout)?, receiver(stderr)?);
        let (child, group) = kit.groups.start(&mut launch).map_err(|error| error.to_io())?;
        Ok(Self {
            child,
            group: Some(group),
            groups: Arc::clone(&kit.groups),
            requests,
            unwritten: Vec::new(),
            answers,
            stdout,
            stderr,
            lines: Lines::new(line_limit),
            ended: None,
            drained: 0,
            buffer: vec![0; READ],
        })
    }

    /// Sends a request; it is written while [`Self::next`] waits.
    ///
    /// # Errors
    ///
    /// When it is not JSON.
    pub(crate) fn send(&mut self, request: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.unwritten, request)?;
        self.unwritten.push(b'\n');
        Ok(())
    }

    /// Whether it has ended, as far as is known.
    pub(crate) fn has_ended(&self) -> bool {
        self.child.exit.borrow().is_some()
    }

    /// What it does next. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Event {
        loop {
            match self.lines.pop() {
                Ok(Some(line)) => return Event::Line(line),
                Ok(None) => {}
                Err(_) => return Event::TooLong,
            }
            if let Some(status) = self.ended {
                return self.left().unwrap_or(Event::Exited(status));
            }
            tokio::select! {
                biased;
                () = readable(self.answers.as_ref()) => {
                    let n = read(&mut self.answers, &mut self.buffer);
                    self.lines.push(&self.buffer[..n]);
                }
                () = readable(self.stdout.as_ref()) => {
                    let n = read(&mut self.stdout, &mut self.buffer);
                    return Event::Stdout(self.buffer[..n].to_vec());
                }
                () = readable(self.stderr.as_ref()) => {
                    let n = read(&mut self.stderr, &mut self.buffer);
                    return Event::Stderr(self.buffer[..n].to_vec());
                }
                written = write(&self.requests, &self.unwritten), if !self.unwritten.is_empty() => {
                    // One that does not read any more is about to end.
                    let n = written.unwrap_or(self.unwritten.len());
                    self.unwritten.drain(..n);
                }
                status = self.child.wait() => self.ended = Some(status),
            }
        }
    }

    /// What there is to read now, whatever the runtime knows of it: output before answers, so that
    /// what was written before an answer is told before it.
    pub(crate) fn left(&mut self) -> Option<Event> {
        for (slot, event) in [
            (&mut self.stdout, Event::Stdout as fn(Vec<u8>) -> Event),
            (&mut self.stderr, Event::Stderr),
        ] {
            let n = if self.drained < DRAIN { read_now(slot, &mut self.buffer) } else { 0 };
            if n > 0 {
                self.drained += n;
                return Some(event(self.buffer[..n].to_vec()));
            }
        }
        loop {
            match self.lines.pop() {
                Ok(Some(line)) => return Some(Event::Line(line)),
                Ok(None) => {}
                Err(_) => return None,
            }
            match read_now(&mut self.answers, &mut self.buffer) {
                0 => return None,
                n => self.lines.push(&self.buffer[..n]),
            }
        }
    }

    /// Forgets how much was drained; at the start of a request.
    pub(crate) fn begin(&mut self) {
        self.drained = 0;
    }

    /// Kills it and everything it started, and waits until it is gone, and with it its connection to
    /// Chromium.
    pub(crate) async fn end(&mut self) {
        self.kill();
        if tokio::time::timeout(GONE_WITHIN, self.child.wait()).await.is_err() {
            tracing::warn!(pid = self.child.pid, "a Node worker was killed and has not ended yet");
        }
    }

    fn kill(&mut self) {
        let Some(group) = self.group.take() else { return };
        // The number of one that was reaped may be another's by now.
        let pid = if self.has_ended() { 0 } else { self.child.pid };
        Groups::kill(&group, pid);
        self.groups.discard(group);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
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

async fn write(requests: &pipe::Sender, bytes: &[u8]) -> io::Result<usize> {
    loop {
        requests.writable().await?;
        match requests.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

/// Reads once; 0 when there is nothing to read now. Closes the stream at its end.
fn read(slot: &mut Option<pipe::Receiver>, buffer: &mut [u8]) -> usize {
    let Some(stream) = slot else { return 0 };
    match stream.try_read(buffer) {
        Ok(n) if n > 0 => return n,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        _ => *slot = None,
    }
    0
}

/// As [`read`], but asks the kernel and not the runtime, which may learn later.
fn read_now(slot: &mut Option<pipe::Receiver>, buffer: &mut [u8]) -> usize {
    let Some(stream) = slot else { return 0 };
    match rustix::io::retry_on_intr(|| rustix::io::read(&*stream, &mut *buffer)) {
        Ok(n) if n > 0 => return n,
        Err(rustix::io::Errno::AGAIN) => {}
        _ => *slot = None,
    }
    0
}
