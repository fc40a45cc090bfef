//! Reading output at one's own pace.

use std::fs::File;
use std::io;
use std::ops::Range;

use tokio::sync::watch;

use super::frame::{self, HEADER, Stream};
use super::store::{Segment, Spool};

/// What a reader comes to next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chunk<'a> {
    /// Bytes of one stream.
    Data(Stream, &'a [u8]),
    /// So many bytes were written here and are not kept any more.
    Gap(u64),
    /// All was read; the exit status.
    End(i32),
    /// The output was removed.
    Gone,
}

/// One subscriber's place in an output.
pub(crate) struct Reader {
    spool: Spool,
    key: u64,
    changed: watch::Receiver<()>,
    /// Segment and offset to read next.
    segment: u64,
    offset: u64,
    file: Option<(u64, File)>,
    /// Bytes of output read or skipped so far.
    position: u64,
}

impl Reader {
    pub(super) fn new(spool: Spool, key: u64, changed: watch::Receiver<()>) -> Self {
        Self { spool, key, changed, segment: 0, offset: 0, file: None, position: 0 }
    }

    /// Hands what comes next to `handle`, at once; `None`: nothing yet, wait for [`Self::changed`].
    pub(crate) fn next<R>(&mut self, handle: impl FnOnce(Chunk<'_>) -> R) -> Option<R> {
        // Before looking, so that what happens afterwards wakes.
        self.changed.mark_unchanged();
        let shared = std::sync::Arc::clone(&self.spool.shared);
        let mut guard = shared.state.lock();
        let state = &mut *guard;
        let Some(kept) = state.outputs.get(&self.key) else { return Some(handle(Chunk::Gone)) };
        loop {
            let here = kept.segments.iter().find(|s| s.number >= self.segment).copied();
            let Some(here) = here else {
                // Past everything that is kept.
                let lost = kept.written.saturating_sub(self.position);
                let dropped = kept.segments.is_empty() && lost > 0;
                return match kept.end {
                    _ if dropped => Some(handle(self.skip(lost))),
                    Some(_) if lost > 0 => Some(handle(self.skip(lost))),
                    Some(code) => Some(handle(Chunk::End(code))),
                    None => None,
                };
            };
            if here.number > self.segment {
                self.segment = here.number;
                self.offset = 0;
            }
            if self.offset == 0 && here.first > self.position {
                let lost = here.first - self.position;
                return Some(handle(self.skip(lost)));
            }
            if self.offset >= here.len {
                let newest = kept.segments.back().map_or(0, |s| s.number);
                if here.number == newest && kept.end.is_none() {
                    return None;
                }
                self.segment += 1;
                self.offset = 0;
                continue;
            }
            return match self.read(here, &shared.path(self.key, here.number), &mut state.scratch) {
                Ok((Stream::Lost, range)) => {
                    let bytes = state.scratch.get(range).unwrap_or_default();
                    let lost = frame::output_bytes(Stream::Lost, bytes);
                    Some(handle(self.skip(lost)))
                }
                Ok((stream, range)) => {
                    let bytes = state.scratch.get(range).unwrap_or_default();
                    self.position += bytes.len() as u64;
                    Some(handle(Chunk::Data(stream, bytes)))
                }
                Err(error) => {
                    // An unreadable segment is a gap up to the next one.
                    tracing::warn!(%error, "a part of a process's kept output cannot be read; readers are told of the gap");
                    self.segment += 1;
                    self.offset = 0;
                    continue;
                }
            };
        }
    }

    fn skip(&mut self, lost: u64) -> Chunk<'static> {
        self.position += lost;
        Chunk::Gap(lost)
    }

    /// Reads frames of one stream into `scratch` and answers where their payload lies there.
    fn read(
        &mut self,
        here: Segment,
        path: &std::path::Path,
        scratch: &mut [u8],
    ) -> io::Result<(Stream, Range<usize>)> {
        let file = match &mut self.file {
            Some((number, file)) if *number == here.number => file,
            other => &mut other.insert((here.number, File::open(path)?)).1,
        };
        let left = usize::try_from(here.len - self.offset).unwrap_or(usize::MAX);
        let wanted = left.min(scratch.len());
        let n = rustix::io::pread(file, &mut scratch[..wanted], self.offset)?;
        let (stream, filled, used) = gather(&mut scratch[..n]).ok_or(io::ErrorKind::InvalidData)?;
        self.offset += used as u64;
        Ok((stream, HEADER..HEADER + filled))
    }

    /// Resolves when there may be more to read.
    pub(crate) async fn changed(&mut self) {
        // An error means that the output is gone, which `next` says too.
        let _ = self.changed.changed().await;
    }
}

/// Moves the payloads of the leading whole frames of one stream together, right behind the first
/// header. Answers with the stream, the bytes of payload, and the bytes of `bytes` consumed.
pub(super) fn gather(bytes: &mut [u8]) -> Option<(Stream, usize, usize)> {
    let (first, len) = frame::parse(bytes)?;
    let mut used = HEADER.checked_add(len)?;
    if used > bytes.len() {
        return None;
    }
    let mut filled = len;
    if first == Stream::Lost {
        return Some((first, filled, used));
    }
    while let Some((stream, len)) = bytes.get(used..).and_then(frame::parse) {
        let payload = used + HEADER..used + HEADER + len;
        if stream != first || payload.end > bytes.len() {
            break;
        }
        used = payload.end;
        bytes.copy_within(payload, HEADER + filled);
        filled += len;
    }
    Some((first, filled, used))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Output, Retention};
    use super::*;

    fn spool(segment: u64, process: u64, session: u64) -> (tempfile::TempDir, Spool) {
        let dir = tempfile::tempdir().unwrap();
        let limits = Retention { segment, process, session };
        let spool = Spool::new(&dir.path().join("output"), limits).unwrap();
        (dir, spool)
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Seen {
        Data(Stream, Vec<u8>),
        Gap(u64),
        End(i32),
        Gone,
    }

    fn step(reader: &mut Reader) -> Option<Seen> {
        reader.next(|chunk| match chunk {
            Chunk::Data(stream, bytes) => Seen::Data(stream, bytes.to_vec()),
            Chunk::Gap(n) => Seen::Gap(n),
            Chunk::End(code) => Seen::End(code),
            Chunk::Gone => Seen::Gone,
        })
    }

    /// Everything up to the end: standard output, standard error, bytes missing.
    fn all(output: &Output) -> (Vec<u8>, Vec<u8>, u64) {
        let (mut out, mut err, mut missing) = (Vec::new(), Vec::new(), 0);
        let mut reader = output.reader();
        loop {
            match step(&mut reader) {
                Some(Seen::Data(Stream::Stdout, bytes)) => out.extend(bytes),
                Some(Seen::Data(_, bytes)) => err.extend(bytes),
                Some(Seen::Gap(n)) => missing += n,
                Some(Seen::End(_) | Seen::Gone) | None => return (out, err, missing),
            }
        }
    }

    #[test]
    fn every_reader_gets_everything_in_order() {
        let (_dir, spool) = spool(64, 1 << 20, 1 << 20);
        let output = spool.create();
        let mut early = output.reader();
        assert_eq!(step(&mut early), None);
        output.append(Stream::Stdout, b"one ");
        output.append(Stream::Stdout, b"two");
        output.append(Stream::Stderr, b"oops");
        assert_eq!(step(&mut early), Some(Seen::Data(Stream::Stdout, b"one two".to_vec())));
        assert_eq!(step(&mut early), Some(Seen::Data(Stream::Stderr, b"oops".to_vec())));
        assert_eq!(step(&mut early), None);
        output.finish(3);
        assert_eq!(step(&mut early), Some(Seen::End(3)));
        let mut late = output.reader();
        assert_eq!(step(&mut late), Some(Seen::Data(Stream::Stdout, b"one two".to_vec())));
        drop(output);
        assert_eq!(step(&mut late), Some(Seen::Gone));
    }

    #[test]
    fn a_reader_left_behind_sees_how_much_it_missed() {
        let (_dir, spool) = spool(100, 300, 1 << 20);
        let output = spool.create();
        let mut slow = output.reader();
        output.append(Stream::Stdout, &[b'a'; 95]);
        assert!(matches!(step(&mut slow), Some(Seen::Data(_, bytes)) if bytes.len() == 95));
        for _ in 0..9 {
            output.append(Stream::Stdout, &[b'b'; 95]);
        }
        let Some(Seen::Gap(missed)) = step(&mut slow) else { panic!("no gap") };
        assert_eq!(missed, 6 * 95);
        for _ in 0..3 {
            assert!(matches!(step(&mut slow), Some(Seen::Data(_, bytes)) if bytes.len() == 95));
        }
        assert_eq!(step(&mut slow), None);
    }

    #[test]
    fn finished_outputs_give_way_first_and_files_follow() {
        let (dir, spool) = spool(100, 1 << 20, 350);
        let (old, live) = (spool.create(), spool.create());
        old.append(Stream::Stdout, &[1; 95]);
        live.append(Stream::Stdout, &[2; 95]);
        old.finish(0);
        live.append(Stream::Stdout, &[2; 95]);
        live.append(Stream::Stdout, &[2; 95]);
        assert_eq!(all(&old), (vec![], vec![], 95));
        assert_eq!(all(&live), (vec![2; 285], vec![], 0));
        // Nobody else has anything left: now the live one loses its own oldest part.
        live.append(Stream::Stdout, &[3; 95]);
        let (out, _, missing) = all(&live);
        assert_eq!((out.len(), missing), (285, 95));
        drop((old, live));
        assert_eq!(std::fs::read_dir(dir.path().join("output")).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_stored_is_a_gap() {
        let (dir, spool) = spool(100, 1 << 20, 1 << 20);
        let output = spool.create();
        output.append(Stream::Stdout, &[1; 100]);
        std::fs::rename(dir.path().join("output"), dir.path().join("away")).unwrap();
        output.append(Stream::Stdout, &[2; 10]);
        std::fs::rename(dir.path().join("away"), dir.path().join("output")).unwrap();
        output.append(Stream::Stdout, &[3; 10]);
        assert_eq!(all(&output), ([vec![1; 100], vec![3; 10]].concat(), vec![], 10));
        std::fs::rename(dir.path().join("output"), dir.path().join("away")).unwrap();
        output.append(Stream::Stdout, &[4; 200]);
        output.append(Stream::Stdout, &[4; 7]);
        output.finish(0);
        std::fs::rename(dir.path().join("away"), dir.path().join("output")).unwrap();
        let (out, _, missing) = all(&output);
        assert_eq!(out.len() as u64 + missing, 327);
        assert!(missing > 10, "{missing}");
    }

    proptest! {
        #[test]
        fn nothing_is_reordered_invented_or_silently_lost(
            writes in proptest::collection::vec((any::<bool>(), 1usize..400), 1..60),
            segment in 1u64..600,
            process in 200u64..3000,
            read_between in any::<bool>(),
        ) {
            let (_dir, spool) = spool(segment, process, 1 << 20);
            let output = spool.create();
            let mut reader = output.reader();
            let (mut written, mut seen) = (0u64, 0u64);
            let mut check = |reader: &mut Reader, limit: usize| {
                for _ in 0..limit {
                    match step(reader) {
                        Some(Seen::Data(_, bytes)) => {
                            for byte in bytes {
                                prop_assert_eq!(byte, (seen % 251) as u8);
                                seen += 1;
                            }
                        }
                        Some(Seen::Gap(n)) => seen += n,
                        _ => break,
                    }
                }
                Ok(())
            };
            for (err, len) in writes {
                let bytes: Vec<u8> = (0..len as u64).map(|i| ((written + i) % 251) as u8).collect();
                written += len as u64;
                output.append(if err { Stream::Stderr } else { Stream::Stdout }, &bytes);
                if read_between {
                    check(&mut reader, 1)?;
                }
            }
            check(&mut reader, usize::MAX)?;
            prop_assert_eq!(seen, written);
        }

        #[test]
        fn hostile_files_do_not_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = gather(&mut bytes);
        }
    }
}
