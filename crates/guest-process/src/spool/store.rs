//! Writing output, and deciding what is kept.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::frame::{self, MAX_FRAME, MAX_PAYLOAD, Stream};

/// Files from this size on are removed on another thread, bytes.
const LARGE: u64 = 256 << 10;

/// How much output is kept, bytes on disk.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Size at which a segment is closed and the next one begins.
    pub segment: u64,
    /// For one process.
    pub process: u64,
    /// For the whole session.
    pub session: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { segment: 8 << 20, process: 512 << 20, session: 2 << 30 }
    }
}

/// The output of all processes of a session. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Spool {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    dir: PathBuf,
    limits: Retention,
    pub(super) state: Mutex<State>,
}

pub(super) struct State {
    pub(super) outputs: HashMap<u64, Kept>,
    next: u64,
    /// Bytes on disk of all outputs together.
    total: u64,
    /// Finished outputs, the longest finished first: they give way first.
    finished: VecDeque<u64>,
    /// Where readers put what they have just read; used between two awaits only.
    pub(super) scratch: Vec<u8>,
}

/// One output.
pub(super) struct Kept {
    pub(super) segments: VecDeque<Segment>,
    current: Option<File>,
    /// Grows only, also past segments that were dropped.
    next_segment: u64,
    /// Bytes on disk.
    stored: u64,
    /// Bytes the process wrote, kept or not.
    pub(super) written: u64,
    /// Bytes that could not be stored and are not yet marked by a frame.
    lost: u64,
    pub(super) end: Option<i32>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Bytes in the file.
    pub(super) len: u64,
    /// Bytes of output before it.
    pub(super) first: u64,
}

/// The writing side of one output. Dropping it removes the output and its files.
pub(crate) struct Output {
    pub(super) spool: Spool,
    pub(super) key: u64,
    /// Appended to, finished or removed.
    changed: watch::Sender<()>,
}

impl Spool {
    /// Keeps output below `dir`, which is made and emptied.
    pub(crate) fn new(dir: &Path, limits: Retention) -> io::Result<Self> {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(dir)?;
        std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        let state = State {
            outputs: HashMap::new(),
            next: 0,
            total: 0,
            finished: VecDeque::new(),
            scratch: vec![0; MAX_FRAME],
        };
        Ok(Self { shared: Arc::new(Shared { dir: dir.into(), limits, state: Mutex::new(state) }) })
    }

    /// A new, empty output.
    pub(crate) fn create(&self) -> Output {
        let changed = watch::Sender::new(());
        let mut state = self.shared.state.lock();
        let key = state.next;
        state.next += 1;
        state.outputs.insert(
            key,
            Kept {
                segments: VecDeque::new(),
                current: None,
                next_segment: 0,
                stored: 0,
                written: 0,
                lost: 0,
                end: None,
            },
        );
        Output { spool: self.clone(), key, changed }
    }
}

impl Shared {
    pub(super) fn path(&self, key: u64, segment: u64) -> PathBuf {
        self.dir.join(format!("{key}.{segment}"))
    }

    fn drop_oldest(&self, state: &mut State, key: u64) -> bool {
        let Some(kept) = state.outputs.get_mut(&key) else { return false };
        let Some(segment) = kept.segments.pop_front() else { return false };
        if kept.segments.is_empty() {
            kept.current = None;
        }
        kept.stored -= segment.len;
        state.total -= segment.len;
        remove_file(self.path(key, segment.number), segment.len);
        true
    }

    /// Drops segments until the limits hold again: those of this output for its own limit; for the
    /// session's limit those of finished outputs, then of the largest.
    fn enforce(&self, state: &mut State, key: u64) {
        let over = |state: &State| {
            let kept = state.outputs.get(&key);
            kept.is_some_and(|k| k.stored > self.limits.process && k.segments.len() > 1)
        };
        while over(state) && self.drop_oldest(state, key) {}
        while state.total > self.limits.session {
            let finished = state.finished.front().copied();
            let victim = finished.or_else(|| {
                state.outputs.iter().max_by_key(|(_, kept)| kept.stored).map(|(key, _)| *key)
            });
            let Some(victim) = victim else { return };
            if !self.drop_oldest(state, victim) {
                if finished.is_none() {
                    return;
                }
                state.finished.pop_front();
            }
        }
    }

    fn append(&self, key: u64, stream: Stream, data: &[u8]) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(kept) = state.outputs.get_mut(&key) else { return };
        let before = kept.written - kept.lost;
        kept.written += data.len() as u64;
        // What was lost earlier is marked in front of what follows it.
        let mark = kept.lost.to_le_bytes();
        let marker = frame::header(Stream::Lost, mark.len());
        let pieces = || data.chunks(MAX_PAYLOAD);
        let headers: Vec<_> = pieces().map(|piece| frame::header(stream, piece.len())).collect();
        let mut slices = Vec::with_capacity(2 + 2 * headers.len());
        if kept.lost > 0 {
            slices.extend([&marker[..], &mark].map(IoSlice::new));
        }
        for (header, piece) in headers.iter().zip(pieces()) {
            slices.extend([header, piece].map(IoSlice::new));
        }
        match self.write(key, kept, before, &slices) {
            Ok(len) => {
                kept.lost = 0;
                kept.stored += len;
                state.total += len;
            }
            Err(error) => {
                if kept.lost == 0 {
                    tracing::warn!(%error, "output of a process cannot be stored; readers are told how much is missing");
                }
                kept.lost += data.len() as u64;
            }
        }
        self.enforce(state, key);
    }

    fn write(
        &self,
        key: u64,
        kept: &mut Kept,
        before: u64,
        slices: &[IoSlice<'_>],
    ) -> io::Result<u64> {
        let full = kept.segments.back().is_none_or(|s| s.len >= self.limits.segment);
        if full || kept.current.is_none() {
            let number = kept.next_segment;
            let path = self.path(key, number);
            let file = File::options().append(true).create_new(true).open(path)?;
            kept.current = Some(file);
            kept.next_segment += 1;
            kept.segments.push_back(Segment { number, len: 0, first: before });
        }
        let (Some(file), Some(segment)) = (&kept.current, kept.segments.back_mut()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let whole: usize = slices.iter().map(|s| s.len()).sum();
        let written = match rustix::io::writev(file, slices) {
            Ok(n) if n == whole => {
                segment.len += whole as u64;
                return Ok(whole as u64);
            }
            Ok(_) => io::ErrorKind::StorageFull.into(),
            Err(error) => error.into(),
        };
        // All frames are there in whole or none is.
        let _ = file.set_len(segment.len);
        Err(written)
    }

    fn finish(&self, key: u64, exit_code: i32) {
        let mut state = self.state.lock();
        if let Some(kept) = state.outputs.get_mut(&key) {
            kept.end = Some(exit_code);
            kept.current = None;
            state.finished.push_back(key);
        }
    }

    fn remove(&self, key: u64) {
        let mut state = self.state.lock();
        while self.drop_oldest(&mut state, key) {}
        state.outputs.remove(&key);
        state.finished.retain(|other| *other != key);
    }
}

/// Removes a file of so many bytes. To free megabytes takes the kernel milliseconds, in which the
/// one thread of the guest has other things to do.
fn remove_file(path: PathBuf, len: u64) {
    let remove = move || {
        // The folder is the guest's own; what is gone already is fine.
        let _ = std::fs::remove_file(path);
    };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) if len >= LARGE => drop(runtime.spawn_blocking(remove)),
        _ => remove(),
    }
}

impl Output {
    /// Keeps `data`, which may be megabytes, and wakes the readers. What cannot be stored is counted
    /// and told to readers as a gap.
    pub(crate) fn append(&self, stream: Stream, data: &[u8]) {
        self.spool.shared.append(self.key, stream, data);
        self.changed.send_replace(());
    }

    /// Says that nothing more follows.
    pub(crate) fn finish(&self, exit_code: i32) {
        self.spool.shared.finish(self.key, exit_code);
        self.changed.send_replace(());
    }

    /// A reader that begins at the start.
    pub(crate) fn reader(&self) -> super::Reader {
        super::Reader::new(self.spool.clone(), self.key, self.changed.subscribe())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.spool.shared.remove(self.key);
        self.changed.send_replace(());
    }
}
