//! The last events of a watch, for any number of readers.

use std::collections::VecDeque;

use browserd_api::fs::{FileEvent, FileEventKind};
use browserd_guest_http::sse;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Events kept.
const EVENTS: usize = 4096;
/// Bytes of events kept.
const BYTES: usize = 1 << 20;

/// A bounded queue that is not used up by reading.
pub(super) struct Ring {
    /// Path of the watched folder.
    root: String,
    kept: Mutex<Kept>,
    /// Number of the next event; closed when there will be no more.
    next: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    events: VecDeque<Bytes>,
    bytes: usize,
    /// Number of the first event kept.
    first: u64,
    /// A write that no client has read yet stands for those that follow it.
    last_write: Option<String>,
    /// Numbers below this have been read by a client.
    read: u64,
    closed: bool,
}

/// What a reader gets.
pub(super) enum Next {
    /// Events, one or more, as they go over the wire.
    Events(Bytes),
    /// Events were lost before what comes next.
    Lost,
    /// None yet.
    Nothing,
    /// No more.
    Closed,
}

impl Ring {
    pub(super) fn new(root: String) -> Self {
        let (next, _) = watch::channel(0);
        Self { root, kept: Mutex::default(), next }
    }

    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Adds an event. The oldest make room.
    pub(super) fn push(&self, event: &FileEvent) {
        let mut kept = self.kept.lock();
        let number = kept.first + kept.events.len() as u64;
        if event.kind == FileEventKind::Write && !event.overflow {
            if kept.read < number && kept.last_write.as_deref() == Some(event.path.as_str()) {
                return;
            }
            kept.last_write = Some(event.path.clone());
        } else {
            kept.last_write = None;
        }
        let bytes = sse::event(event);
        kept.bytes += bytes.len();
        kept.events.push_back(bytes);
        while kept.events.len() > EVENTS || kept.bytes > BYTES {
            if let Some(oldest) = kept.events.pop_front() {
                kept.bytes -= oldest.len();
                kept.first += 1;
            }
        }
        drop(kept);
        self.next.send_replace(number + 1);
    }

    /// No more events come.
    pub(super) fn close(&self) {
        self.kept.lock().closed = true;
        self.next.send_modify(|_| {});
    }

    /// What comes from number `at` on, which is moved on.
    pub(super) fn read(&self, at: &mut u64) -> Next {
        let mut kept = self.kept.lock();
        if *at < kept.first {
            *at = kept.first;
            return Next::Lost;
        }
        let skip = usize::try_from(*at - kept.first).unwrap_or(usize::MAX);
        if skip >= kept.events.len() {
            return if kept.closed { Next::Closed } else { Next::Nothing };
        }
        let mut text = Vec::new();
        for event in kept.events.iter().skip(skip) {
            if text.len() + event.len() > (64 << 10) && !text.is_empty() {
                break;
            }
            text.extend_from_slice(event);
            *at += 1;
        }
        kept.read = kept.read.max(*at);
        Next::Events(text.into())
    }

    /// Tells when there is more, or an end.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.next.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: FileEventKind, path: &str) -> FileEvent {
        FileEvent { kind, path: path.into(), name: path.into(), is_dir: false, overflow: false }
    }

    fn texts(ring: &Ring, at: &mut u64) -> (usize, bool) {
        let (mut events, mut lost) = (0, false);
        loop {
            match ring.read(at) {
                Next::Events(text) => events += text.windows(6).filter(|w| w == b"data: ").count(),
                Next::Lost => lost = true,
                Next::Nothing | Next::Closed => return (events, lost),
            }
        }
    }

    #[test]
    fn every_reader_gets_everything_and_writes_are_not_repeated_unread() {
        let ring = Ring::new(String::new());
        ring.push(&event(FileEventKind::Create, "/a"));
        for _ in 0..10 {
            ring.push(&event(FileEventKind::Write, "/a"));
        }
        let (mut one, mut two) = (0, 0);
        assert_eq!(texts(&ring, &mut one), (2, false));
        ring.push(&event(FileEventKind::Write, "/a"));
        assert_eq!(texts(&ring, &mut one), (1, false));
        assert_eq!(texts(&ring, &mut two), (3, false));
        ring.close();
        assert!(matches!(ring.read(&mut two), Next::Closed));
    }

    #[test]
    fn bounded_and_says_so() {
        let ring = Ring::new(String::new());
        for number in 0..EVENTS * 3 {
            ring.push(&event(FileEventKind::Create, &format!("/{number}")));
        }
        assert!(ring.kept.lock().bytes <= BYTES);
        assert_eq!(texts(&ring, &mut 0), (EVENTS, true));
        for number in 0..EVENTS {
            ring.push(&event(FileEventKind::Create, &format!("/{}{number}", "x".repeat(4000))));
        }
        assert!(ring.kept.lock().bytes <= BYTES);
    }
}
