//! Standard input of a process: a pipe, or its terminal.

use std::io;
use std::time::Duration;

use rustix::termios::SpecialCodeIndex;
use tokio::net::unix::pipe;
use tokio::sync::Mutex;

use super::Ending;

/// How long one request waits for the process to take its bytes.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Where input goes. Writers take turns, so that each one's bytes stay together.
#[derive(Debug)]
pub(super) struct Input {
    target: Mutex<Option<Target>>,
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) pipe: pipe::Sender,
    pub(super) tty: bool,
}

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// So many bytes were taken; fewer than given when patience ran out.
    Bytes(usize),
    /// The process has closed its input or exited; so many bytes were taken before.
    Closed(usize),
    /// All bytes were taken, and then patience ran out before the input could be ended.
    NotEnded,
}

impl Input {
    pub(super) fn new(target: Target) -> Self {
        Self { target: Mutex::new(Some(target)) }
    }

    /// Writes `bytes`, and with `eof` ends the input after them. Waits at most `patience` for a
    /// process that does not read, or for others that write before, and not at all for a process
    /// that has exited.
    pub(super) async fn write(
        &self,
        bytes: &[u8],
        eof: bool,
        patience: Option<Duration>,
        ending: &Ending,
    ) -> Written {
        let mut taken = 0;
        let write = async {
            let mut slot = self.target.lock().await;
            let Some(target) = &*slot else { return Written::Closed(0) };
            let mut put = put(&target.pipe, bytes, &mut taken).await;
            if eof && target.tty && put.is_ok() {
                // A terminal has no end; what its driver takes for one is a character.
                put = self::put(&target.pipe, &[end_of_file(&target.pipe)], &mut 0).await;
            }
            if put.is_err() || (eof && !target.tty) {
                *slot = None;
            }
            match put {
                Ok(()) => Written::Bytes(0),
                Err(_) => Written::Closed(0),
            }
        };
        let limited = async {
            match patience {
                Some(patience) => tokio::time::timeout(patience, write).await.ok(),
                None => Some(write.await),
            }
        };
        let outcome = tokio::select! {
            biased;
            outcome = limited => outcome,
            () = ending.wait() => Some(Written::Closed(0)),
        };
        match outcome {
            Some(Written::Closed(_)) => Written::Closed(taken),
            None if eof && taken == bytes.len() => Written::NotEnded,
            _ => Written::Bytes(taken),
        }
    }

    /// Closes the input of a process that has exited.
    pub(super) async fn close(&self) {
        *self.target.lock().await = None;
    }
}

/// Writes all of `bytes`, and counts in `taken` what was written should this be dropped before.
async fn put(pipe: &pipe::Sender, bytes: &[u8], taken: &mut usize) -> io::Result<()> {
    while *taken < bytes.len() {
        match pipe.try_write(&bytes[*taken..]) {
            Ok(n) => *taken += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pipe.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The terminal's end-of-file character, Ctrl-D unless the program changed it.
fn end_of_file(terminal: &pipe::Sender) -> u8 {
    let attributes = rustix::termios::tcgetattr(terminal);
    attributes.map_or(0x04, |a| a.special_codes[SpecialCodeIndex::VEOF])
}
