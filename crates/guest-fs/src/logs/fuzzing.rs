//! The targets of this module.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use browserd_protocol::LINE_LIMIT;

use super::lines::Splitter;
use super::source::Source;
use super::tail::{Step, Tail};
use crate::Given;
use crate::fuzzing::input::cut;
use crate::fuzzing::scratch::Scratch;
use crate::fuzzing::stretched::stretched;

/// A log in pieces: the lines of it, cut where they are too long, wherever the pieces end.
pub(crate) fn log_lines(data: &[u8]) {
    let (cut, data) = cut(data);
    let data = stretched(data, 4 * LINE_LIMIT);
    let mut lines = Vec::new();
    let mut splitter = Splitter::default();
    // Not byte by byte where there are many.
    for piece in data.chunks(cut.max(data.len() / 512)) {
        splitter.feed(piece, |line| lines.push(line.to_vec()));
    }
    splitter.end(|line| lines.push(line.to_vec()));
    let mut wanted: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    // What follows the last line's end is no line.
    wanted.pop_if(|last| last.is_empty());
    for line in &mut wanted {
        *line = &line[..line.len().min(LINE_LIMIT)];
        *line = line.strip_suffix(b"\r").unwrap_or(line);
    }
    assert_eq!(lines, wanted);
}

/// A log file that is followed while it is written, rotated and cut: after each letter what was
/// written comes out, once and in order, for as long as nothing is cut.
pub(crate) fn log_tail(data: &[u8]) {
    let scratch = Scratch::new();
    let path = scratch.path().join("log");
    let mut tail = Tail::open(&source(&path), true, true).unwrap();
    let (mut written, mut seen, mut cut) = (Vec::new(), Vec::new(), false);
    for act in data.iter().take(64) {
        match act {
            b'A' => drop(std::fs::rename(&path, scratch.path().join("log.1"))),
            b'C' if path.exists() => {
                File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
                cut = true;
            }
            b'D' => drop(std::fs::remove_file(&path)),
            byte => {
                let mut file = File::options().create(true).append(true).open(&path).unwrap();
                file.write_all(&[*byte]).unwrap();
                written.push(*byte);
            }
        }
        let mut steps = 0;
        while tail.step(|line| seen.push(line.to_vec())).unwrap() == Step::Read {
            steps += 1;
            assert!(steps < 16, "it does not come to rest");
        }
    }
    if !cut {
        let all = written.iter().copied().filter(|byte| !b"\r\n".contains(byte));
        let seen: Vec<u8> = seen.concat().into_iter().filter(|byte| *byte != b'\r').collect();
        assert!(all.take(seen.len()).eq(seen), "what was written comes out as it was");
    }
}

fn source(path: &Path) -> Source {
    let path = Given::new("path", path.to_string_lossy().into_owned()).unwrap();
    Source { path, before: None, service: false }
}
