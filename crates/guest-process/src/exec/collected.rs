//! What a command writes, kept until its client has it.

use crate::budget::{Budget, Held};

/// Most bytes of one stream in an answer.
pub(super) const STREAM_LIMIT: usize = 8 << 20;
/// What a call takes from the budget at once.
const STEP: usize = 64 * 1024;

/// One stream, up to the limits. Holds its part of the budget as long as it lives.
#[derive(Debug)]
pub(super) struct Collected {
    pub(super) bytes: Vec<u8>,
    /// Bytes that were written and are not kept.
    pub(super) left_out: u64,
    held: Held,
}

impl Collected {
    pub(super) fn new(budget: &Budget) -> Self {
        Self { bytes: Vec::new(), left_out: 0, held: budget.hold() }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let room = STREAM_LIMIT.saturating_sub(self.bytes.len()).min(bytes.len());
        while self.held.bytes() < self.bytes.len() + room && self.held.take(STEP) {}
        let room = room.min(self.held.bytes() - self.bytes.len());
        // Once something is left out the rest is too: what is returned is one piece.
        let kept = if self.left_out > 0 { 0 } else { room };
        self.bytes.extend_from_slice(&bytes[..kept]);
        self.left_out += (bytes.len() - kept) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::super::OUTPUT_LIMIT;
    use super::*;

    fn collected(budget: &Budget, pieces: &[usize]) -> Collected {
        let mut collected = Collected::new(budget);
        for piece in pieces {
            collected.push(&vec![b'x'; *piece]);
        }
        collected
    }

    #[test]
    fn a_stream_is_cut_at_its_limit_and_the_rest_counted() {
        let budget = Budget::new(OUTPUT_LIMIT);
        let whole = collected(&budget, &[STREAM_LIMIT - 1, 1]);
        assert_eq!((whole.bytes.len(), whole.left_out), (STREAM_LIMIT, 0));
        let cut = collected(&budget, &[STREAM_LIMIT - 1, 3, 5]);
        assert_eq!((cut.bytes.len(), cut.left_out), (STREAM_LIMIT, 7));
    }

    #[test]
    fn all_calls_together_have_a_limit_that_comes_back() {
        let budget = Budget::new(OUTPUT_LIMIT);
        let calls: Vec<_> = (0..9).map(|_| collected(&budget, &[STREAM_LIMIT])).collect();
        let held: usize = calls.iter().map(|call| call.bytes.len()).sum();
        assert_eq!(held, OUTPUT_LIMIT);
        assert_eq!(calls[8].left_out, STREAM_LIMIT as u64);
        drop(calls);
        assert_eq!(budget.held(), 0);
        // What was once left out is not followed by later bytes.
        let mut gap = collected(&budget, &[STREAM_LIMIT + 1]);
        gap.bytes.truncate(10);
        gap.push(b"later");
        assert_eq!((gap.bytes.len(), gap.left_out), (10, 6));
    }
}
