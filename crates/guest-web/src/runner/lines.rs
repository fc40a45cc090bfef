//! Bytes in, whole lines out.

/// A line over its limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// What of a stream is not a whole line yet.
#[derive(Debug)]
pub(super) struct Lines {
    bytes: Vec<u8>,
    /// Where no line ends.
    searched: usize,
    limit: usize,
}

impl Lines {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), searched: 0, limit }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, without its end.
    ///
    /// # Errors
    ///
    /// [`TooLong`], now and from then on.
    pub(super) fn pop(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let Some(end) = self.bytes[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.bytes.len();
            return if self.searched > self.limit { Err(TooLong) } else { Ok(None) };
        };
        let end = self.searched + end;
        if end > self.limit {
            return Err(TooLong);
        }
        let rest = self.bytes.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.bytes, rest);
        line.pop();
        self.searched = 0;
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_may_be_as_long_as_the_limit() {
        let mut lines = Lines::new(3);
        lines.push(b"abc\nabcd\n");
        assert_eq!(lines.pop(), Ok(Some(b"abc".to_vec())));
        assert_eq!(lines.pop(), Err(TooLong));
        let mut lines = Lines::new(3);
        lines.push(b"abc");
        assert_eq!(lines.pop(), Ok(None));
        lines.push(b"d");
        assert_eq!(lines.pop(), Err(TooLong));
    }

    proptest! {
        #[test]
        fn lines_come_out_as_they_went_in(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300),
            cut in 1usize..50,
        ) {
            let mut lines = Lines::new(400);
            let mut out = Vec::new();
            for part in text.chunks(cut) {
                lines.push(part);
                while let Ok(Some(line)) = lines.pop() {
                    out.extend_from_slice(&line);
                    out.push(b'\n');
                }
            }
            out.extend_from_slice(&lines.bytes);
            prop_assert_eq!(out, text);
        }
    }
}
