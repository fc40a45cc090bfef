//! How much an archive may become.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;

use super::Refused;

/// Most entries.
const ENTRIES: u64 = 100_000;
/// Bytes any archive may become.
const FLOOR: u64 = 256 << 20;
/// How many times its own size an archive may become beyond that.
const RATIO: u64 = 200;
/// Most bytes, whatever the archive's size.
const CEILING: u64 = 64 << 30;
/// Most folders a name goes through; what is deeper could not be walked.
const DEPTH: usize = 256;
/// Most bytes read of an archive's own bookkeeping at one time.
const BOOKKEEPING: u64 = 64 << 20;

/// How much may come out of an archive.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries.
    pub entries: u64,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Parts of a name.
    pub depth: usize,
}

impl Limits {
    /// What may come out of any archive of `size` bytes.
    pub(crate) fn of(size: u64) -> Self {
        let bytes = size.saturating_mul(RATIO).clamp(FLOOR, CEILING);
        Self { entries: ENTRIES, bytes, depth: DEPTH }
    }

    /// So little that short inputs can use it up.
    #[cfg(any(test, fuzzing))]
    pub(crate) const FEW: Self = Self { entries: 64, bytes: 1 << 20, depth: DEPTH };
}

/// What is left of an archive's limits.
#[derive(Debug)]
pub(super) struct Allowance {
    limits: Limits,
    left: Limits,
}

impl Allowance {
    pub(super) fn of(limits: Limits) -> Self {
        Self { limits, left: limits }
    }

    /// Parts a name may have.
    pub(super) fn depth(&self) -> usize {
        self.limits.depth
    }

    /// Counts an entry.
    pub(super) fn entry(&mut self) -> Result<(), Refused> {
        let entries = self.limits.entries;
        self.left.entries = (self.left.entries.checked_sub(1))
            .ok_or_else(|| Refused::Archive(format!("it has more than {entries} entries")))?;
        Ok(())
    }

    /// Counts bytes that came out of it.
    pub(super) fn bytes(&mut self, bytes: u64) -> Result<(), Refused> {
        self.left.bytes = self.left.bytes.checked_sub(bytes).ok_or_else(|| {
            Refused::Archive(format!(
                "it unpacks to more than the {} bytes allowed for an archive of its size",
                self.limits.bytes
            ))
        })?;
        Ok(())
    }
}

/// A reader that fails once too much bookkeeping was read at one time: what parsers keep in memory
/// comes from there. Lifted while content is read.
pub(super) struct Watched<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

/// The other end of a [`Watched`].
#[derive(Clone)]
pub(super) struct Watch(Rc<Cell<u64>>);

impl Watch {
    /// Bookkeeping begins.
    pub(super) fn bookkeeping(&self) {
        self.0.set(BOOKKEEPING);
    }

    /// Content begins.
    pub(super) fn content(&self) {
        self.0.set(u64::MAX);
    }
}

/// Watches what is read of `inner`.
pub(super) fn watched<R>(inner: R) -> (Watched<R>, Watch) {
    let left = Rc::new(Cell::new(BOOKKEEPING));
    (Watched { inner, left: Rc::clone(&left) }, Watch(left))
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.left.get();
        if left != u64::MAX {
            let left = left.checked_sub(read as u64).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "its list of entries is too large")
            })?;
            self.left.set(left);
        }
        Ok(read)
    }
}

impl<R: Seek> Seek for Watched<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bombs_run_out() {
        let mut left = Allowance::of(Limits::of(10));
        left.bytes(FLOOR).unwrap();
        assert!(left.bytes(1).is_err());
        assert!(Allowance::of(Limits::of(u64::MAX)).bytes(CEILING + 1).is_err());
        for _ in 0..ENTRIES {
            left.entry().unwrap();
        }
        assert!(left.entry().is_err());
    }

    #[test]
    fn bookkeeping_is_bounded_and_content_is_not() {
        let (mut reader, watch) = watched(io::repeat(0));
        let mut buffer = vec![0; 1 << 20];
        watch.content();
        for _ in 0..100 {
            reader.read_exact(&mut buffer).unwrap();
        }
        watch.bookkeeping();
        assert!((0..100).any(|_| reader.read_exact(&mut buffer).is_err()));
    }
}
