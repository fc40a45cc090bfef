//! Text code wrote, up to a limit.

/// The beginning of a stream, and how much more there was.
#[derive(Debug, Default)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    left_out: usize,
}

/// Most bytes kept of one stream.
const LIMIT: usize = 1 << 20;

impl Text {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = LIMIT.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.left_out += bytes.len() - room;
    }

    /// Whether `words` are in what was kept.
    pub(crate) fn contains(&self, words: &str) -> bool {
        self.bytes.windows(words.len()).any(|part| part == words.as_bytes())
    }

    /// All of it, with a mark where the rest would be.
    pub(crate) fn finish(self) -> String {
        let mut text = String::from_utf8_lossy(&self.bytes).into_owned();
        if self.left_out > 0 {
            text.push_str(&format!("\n[{} more bytes were written]\n", self.left_out));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_limit_is_counted() {
        let mut text = Text::default();
        text.push(&vec![b'x'; LIMIT - 1]);
        text.push(b"yz");
        assert!(text.contains("xy") && !text.contains("z"));
        let text = text.finish();
        assert_eq!(&text[LIMIT - 1..], "y\n[1 more bytes were written]\n");
        let mut text = Text::default();
        text.push(b"a\xff\n");
        assert_eq!(text.finish(), "a\u{fffd}\n");
    }
}
