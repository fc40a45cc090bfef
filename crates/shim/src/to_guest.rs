//! What the shim tells the guest, one line each. A guest that is frozen, or does not read, holds nobody
//! up: of counts of the disk only the last one waits for it.

use browserd_protocol::GuestCommand;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{mpsc, watch};

use crate::control;

/// Commands that may wait; a guest is told few in its life.
const QUEUE: usize = 4;

/// Where commands go. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ToGuest {
    commands: mpsc::Sender<GuestCommand>,
    disk: watch::Sender<Option<GuestCommand>>,
}

impl ToGuest {
    /// Takes over the line; the future writes to it and is to be run.
    pub(crate) fn new(mut line: OwnedWriteHalf) -> (Self, impl Future<Output = ()>) {
        let (commands, mut queue) = mpsc::channel(QUEUE);
        let (disk, mut counts) = watch::channel(None);
        let write = async move {
            loop {
                let command = tokio::select! {
                    Some(command) = queue.recv() => Some(command),
                    Ok(()) = counts.changed() => counts.borrow_and_update().clone(),
                    else => return,
                };
                if let Some(command) = command
                    && line.write_all(&control::line(&command)).await.is_err()
                {
                    return;
                }
            }
        };
        (Self { commands, disk }, write)
    }

    /// Tells the guest; answers whether there was room for it.
    pub(crate) fn tell(&self, command: GuestCommand) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Tells the guest what is on the disk, in place of what it has not been told yet.
    pub(crate) fn disk(&self, count: GuestCommand) {
        self.disk.send_replace(Some(count));
    }

    /// The counts it is told.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> watch::Receiver<Option<GuestCommand>> {
        self.disk.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::net::UnixStream;

    use super::*;

    fn count(question: u64) -> GuestCommand {
        let (bytes, files, free, free_files) = (1, 1, 1, 1);
        GuestCommand::Disk { bytes, files, free, free_files, question }
    }

    #[tokio::test]
    async fn a_guest_that_was_frozen_gets_whole_lines_and_the_last_count() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (_read, write) = ours.into_split();
        let (to_guest, writing) = ToGuest::new(write);
        let writing = tokio::spawn(writing);
        // Far more than the socket holds.
        for question in 1..=20_000 {
            to_guest.disk(count(question));
            tokio::task::yield_now().await;
        }
        drop(to_guest);
        let mut lines = BufReader::new(theirs).lines();
        let (mut last, mut seen) = (0, 0);
        while let Some(line) = lines.next_line().await.unwrap() {
            let GuestCommand::Disk { question, .. } = serde_json::from_str(&line).unwrap() else {
                panic!("{line}");
            };
            assert!(question > last);
            (last, seen) = (question, seen + 1);
        }
        assert_eq!(last, 20_000);
        assert!(seen < 20_000, "counts that were not read were kept");
        writing.await.unwrap();
    }
}
