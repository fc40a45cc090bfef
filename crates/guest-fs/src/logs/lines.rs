//! Bytes into lines of bounded length.

use browserd_protocol::LINE_LIMIT;

/// Splits what it is fed at line ends. Of a line over [`LINE_LIMIT`] the rest is dropped.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    line: Vec<u8>,
    begun: bool,
}

impl Splitter {
    /// Takes `bytes` and gives every line that is complete to `each`.
    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.add(&rest[..end]);
            rest = &rest[end + 1..];
            self.finish(&mut each);
        }
        if !rest.is_empty() {
            self.begun = true;
            self.add(rest);
        }
    }

    /// Gives what is left of a line that has no end.
    pub(super) fn end(&mut self, mut each: impl FnMut(&[u8])) {
        if self.begun {
            self.finish(&mut each);
        }
    }

    fn add(&mut self, part: &[u8]) {
        let room = LINE_LIMIT - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn finish(&mut self, each: &mut impl FnMut(&[u8])) {
        each(self.line.strip_suffix(b"\r").unwrap_or(&self.line));
        self.line.clear();
        // One long line must not hold its memory for good.
        self.line.shrink_to(4096);
        self.begun = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for piece in pieces {
            splitter.feed(piece, |line| lines.push(line.to_vec()));
        }
        splitter.end(|line| lines.push(line.to_vec()));
        lines
    }

    #[test]
    fn long_lines_are_cut_and_the_next_one_is_whole() {
        let long = vec![b'x'; LINE_LIMIT * 2];
        let lines = split(&[&long, b"y\nnext\nlast"]);
        assert_eq!(lines[0].len(), LINE_LIMIT);
        assert_eq!(lines[1..], [b"next".to_vec(), b"last".to_vec()]);
        assert_eq!(split(&[b"a\r\n\nb"]), [b"a".to_vec(), b"".to_vec(), b"b".to_vec()]);
        assert_eq!(split(&[b"a\n"]), [b"a".to_vec()]);
    }

    proptest! {
        #[test]
        fn where_pieces_end_does_not_matter(text in "[ab\n]{0,60}", at in 0..60usize) {
            let bytes = text.as_bytes();
            let (one, two) = bytes.split_at(at.min(bytes.len()));
            let expected: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(split(&[one, two]), expected);
        }
    }
}
