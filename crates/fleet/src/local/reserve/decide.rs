//! Which session is stopped when the host's reserve is near, and how: the pure core of keeping it.
//!
//! ```text
//!  the biggest writer ──▶ what clients started in it is killed ──▶ still the biggest, and
//!                                                                  - it goes on writing, or
//!                                                                  - the reserve is touched: it ends
//! ```
//!
//! A writer is who has more on the disk than when there was room for everybody. Who wrote before that
//! is left alone, and what others on the host write stops no session.

use browserd_protocol::DiskReserve;

/// What is known of a session.
#[derive(Debug, Clone, Default)]
pub(super) struct Writer {
    /// Bytes it had when there was room for everybody; none if it is new.
    pub(super) calm: u64,
    /// Bytes it had when it was counted last.
    pub(super) bytes: u64,
    /// What clients started in it was killed; the bytes that were counted since then first.
    pub(super) killed: Option<Option<u64>>,
    /// It was told to end.
    pub(super) ending: bool,
}

impl Writer {
    /// Takes a count.
    pub(super) fn counted(&mut self, bytes: u64) {
        self.bytes = bytes;
        if let Some(first) = &mut self.killed {
            first.get_or_insert(bytes);
        }
    }

    /// There is room for everybody.
    pub(super) fn calm(&mut self) {
        self.killed = None;
        self.calm = self.bytes;
    }

    /// Bytes written since there was room for everybody.
    pub(super) fn grown(&self) -> u64 {
        self.bytes.saturating_sub(self.calm)
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<K> {
    Nothing,
    EndProcesses(K),
    EndSession(K),
}

/// What Chromium writes while it starts, bytes, rounded up: nobody is stopped for that.
const START: u64 = 32 << 20;

/// What a session has to have written to be a writer.
pub(super) fn least(reserve: DiskReserve) -> u64 {
    (reserve.margin() / 8).max(START)
}

/// Decides with `available` bytes left, fewer than the reserve and its margin. `falling`: fewer than
/// when something was done last.
pub(super) fn decide<K: Copy + Ord>(
    reserve: DiskReserve,
    available: u64,
    falling: bool,
    writers: impl Iterator<Item = (K, Writer)>,
) -> Step<K> {
    let is_touched = available < reserve.bytes();
    if !falling && !is_touched {
        return Step::Nothing;
    }
    let mut writers: Vec<_> = writers.collect();
    // What it has is on its way to be free.
    if writers.iter().any(|(_, writer)| writer.ending) {
        return Step::Nothing;
    }
    // Many who write little each are writers all the same.
    let together =
        writers.iter().fold(0, |sum: u64, (_, writer)| sum.saturating_add(writer.grown()));
    let least_grown = if together >= reserve.margin() { 1 } else { least(reserve) };
    writers.retain(|(_, writer)| writer.grown() >= least_grown);
    writers.sort_by_key(|(id, writer)| (std::cmp::Reverse(writer.grown()), *id));
    for (id, writer) in writers {
        match writer.killed {
            None => return Step::EndProcesses(id),
            Some(first) => {
                let since = writer.bytes.saturating_sub(first.unwrap_or(writer.bytes));
                if is_touched || since >= least(reserve) {
                    return Step::EndSession(id);
                }
            }
        }
    }
    Step::Nothing
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A reserve of 2 GiB and a margin of 512 MiB; 64 make a writer.
    fn reserve() -> DiskReserve {
        DiskReserve::of(2048 * MIB).unwrap()
    }

    fn writer(calm: u64, now: u64) -> Writer {
        Writer { calm: calm * MIB, bytes: now * MIB, ..Writer::default() }
    }

    fn decide(available: u64, falling: bool, writers: &[Writer]) -> Step<usize> {
        let writers = writers.iter().cloned().enumerate();
        super::decide(reserve(), available * MIB, falling, writers)
    }

    #[test]
    fn the_biggest_writer_is_stopped_first_and_not_who_has_most() {
        let (quiet, some, much) = (writer(9000, 9001), writer(10, 90), writer(10, 400));
        assert_eq!(decide(2500, true, &[quiet, some, much]), Step::EndProcesses(2));
    }

    #[test]
    fn nobody_is_stopped_once_nobody_writes() {
        let mut killed = writer(10, 400);
        killed.killed = Some(Some(400 * MIB));
        assert_eq!(decide(2500, false, &[killed.clone(), writer(10, 90)]), Step::Nothing);
        // Somebody does: it is not the first one any more.
        assert_eq!(decide(2400, true, &[killed, writer(10, 90)]), Step::EndProcesses(1));
    }

    #[test]
    fn who_goes_on_or_has_taken_the_reserve_ends() {
        let mut killed = writer(10, 400);
        killed.killed = Some(Some(400 * MIB));
        assert_eq!(decide(2500, true, &[killed.clone()]), Step::Nothing);
        assert_eq!(decide(0, false, &[killed.clone()]), Step::EndSession(0));
        killed.counted(464 * MIB);
        assert_eq!(decide(2500, true, &[killed.clone()]), Step::EndSession(0));
        // While it ends nobody else is touched for what it has.
        killed.ending = true;
        assert_eq!(decide(0, true, &[killed, writer(0, 9000)]), Step::Nothing);
    }

    #[test]
    fn what_others_on_the_host_write_stops_no_session() {
        assert_eq!(decide(0, true, &[writer(9000, 9001), writer(10, 73)]), Step::Nothing);
        assert_eq!(decide(0, true, &[Writer::default()]), Step::Nothing);
        let small = DiskReserve::of(64 * MIB).unwrap();
        let starting = std::iter::once((0, writer(0, 31)));
        assert_eq!(super::decide(small, 0, true, starting), Step::Nothing);
    }

    #[test]
    fn many_who_write_little_are_writers_together() {
        let few = vec![writer(10, 70); 8];
        assert_eq!(decide(2500, true, &few), Step::Nothing);
        let many = vec![writer(10, 70); 9];
        assert_eq!(decide(2500, true, &many), Step::EndProcesses(0));
    }

    #[test]
    fn a_new_session_begins_with_nothing_and_a_calm_moment_forgives() {
        let mut new = Writer::default();
        // It took much before anybody had counted.
        new.counted(3000 * MIB);
        assert_eq!(decide(0, true, &[new.clone()]), Step::EndProcesses(0));
        new.killed = Some(None);
        new.counted(3001 * MIB);
        assert_eq!(new.killed, Some(Some(3001 * MIB)));
        new.calm();
        assert_eq!((new.grown(), new.killed), (0, None));
    }
}
