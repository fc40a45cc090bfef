//! The targets of this module.

use browserd_protocol::LINE_LIMIT;
use tokio::io::AsyncReadExt;

use super::Lines;
use crate::fuzzing::input::cut;
use crate::fuzzing::runtime::block_on;
use crate::fuzzing::stretched::stretched;

/// What Chromium, the X server and the like print: its lines, cut where they are too long.
pub(crate) fn program_lines(data: &[u8]) {
    let (cut, data) = cut(data);
    let data = stretched(data, 4 * LINE_LIMIT);
    let (first, second) = data.split_at(cut.min(data.len()));
    let found = block_on(async {
        let mut lines = Lines::new(first.chain(second));
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line.to_vec());
        }
        found
    });
    let mut wanted: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    wanted.pop_if(|last| last.is_empty());
    let wanted: Vec<&[u8]> =
        wanted.into_iter().map(|line| &line[..line.len().min(LINE_LIMIT)]).collect();
    assert_eq!(found, wanted);
}
