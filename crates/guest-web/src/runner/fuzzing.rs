//! The targets of this module.

use super::Text;
use super::lines::{Lines, TooLong};
use crate::fuzzing::input::cut;

/// Longest line of the worker that is played, bytes.
const LIMIT: usize = 32;

/// What a worker writes, in pieces: its lines up to the first that is too long, and no more is held
/// than such a line and a piece; and the output of code, which is text whatever it was.
pub(crate) fn runner_lines(data: &[u8]) {
    let (cut, data) = cut(data);
    let (mut lines, mut found, mut broken) = (Lines::new(LIMIT), Vec::new(), false);
    let mut text = Text::default();
    'pieces: for piece in data.chunks(cut) {
        text.push(piece);
        lines.push(piece);
        loop {
            match lines.pop() {
                Ok(Some(line)) => found.push(line),
                Ok(None) => break,
                Err(TooLong) => {
                    assert_eq!(lines.pop(), Err(TooLong), "from then on");
                    broken = true;
                    break 'pieces;
                }
            }
        }
    }
    let mut wanted: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let last = wanted.pop().unwrap_or_default();
    let whole = wanted.iter().position(|line| line.len() > LIMIT);
    assert_eq!(found, wanted[..whole.unwrap_or(wanted.len())]);
    assert_eq!(broken, whole.is_some() || last.len() > LIMIT);
    assert!(broken || text.finish() == String::from_utf8_lossy(data));
}
