//! Lines of what a program prints, each of bounded length.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use std::io;

use browserd_protocol::LINE_LIMIT;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Splits a stream into lines. Of a line over [`LINE_LIMIT`] the rest is dropped.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new() }
    }

    /// The next line without its newline, or `None` at the end. A last line without newline counts.
    /// Must not be dropped while it waits.
    pub(crate) async fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.line.clear();
        // One long line must not hold its memory for good.
        self.line.shrink_to(4096);
        let mut any = false;
        loop {
            let available = self.reader.fill_buf().await?;
            if available.is_empty() {
                return Ok(any.then_some(&self.line));
            }
            any = true;
            let newline = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..newline.unwrap_or(available.len())];
            let room = LINE_LIMIT - self.line.len();
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            let used = newline.map_or(available.len(), |at| at + 1);
            self.reader.consume(used);
            if newline.is_some() {
                return Ok(Some(&self.line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(input: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Lines::new(input);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line.to_vec());
        }
        found
    }

    #[tokio::test]
    async fn splits() {
        assert_eq!(all(b"").await, Vec::<Vec<u8>>::new());
        assert_eq!(all(b"a\n\nb").await, [b"a".to_vec(), b"".to_vec(), b"b".to_vec()]);
        assert_eq!(all(b"a\n").await, [b"a".to_vec()]);
    }

    #[tokio::test]
    async fn a_long_line_is_cut_and_the_next_one_is_whole() {
        let mut input = vec![b'x'; LINE_LIMIT * 3];
        input.extend_from_slice(b"\nnext\n");
        let lines = all(&input).await;
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].len(), LINE_LIMIT);
        assert_eq!(lines[1], b"next");
    }
}
