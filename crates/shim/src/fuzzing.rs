//! Fuzz targets of what a guest sends its shim: its reports and its log. See `docs/fuzzing.md`.

use std::fs::File;
use std::io::Write;

use browserd_protocol::{GuestReport, LINE_LIMIT, ShimReport};
use tokio::sync::broadcast;

use self::input::cut;
use self::pieces::{Pieces, messages};
use self::runtime::block_on;
use self::stretched::stretched;
use crate::{control, guest_log};

#[path = "../../../fuzz/common/input.rs"]
mod input;
#[path = "../../../fuzz/common/pieces.rs"]
mod pieces;
#[path = "../../../fuzz/common/runtime.rs"]
mod runtime;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;
#[path = "../../../fuzz/common/stretched.rs"]
mod stretched;

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[("guest_report", guest_report), ("guest_log", guest_log)];

/// Reports, however their lines arrive: each comes back from what is passed on of it, and a line
/// without end is not gathered.
fn guest_report(data: &[u8]) {
    let (cut, data) = cut(data);
    let data = stretched(data, 4 * LINE_LIMIT);
    let pieces = Pieces { data: &data, most: cut };
    block_on(messages(pieces, LINE_LIMIT, |said: GuestReport| {
        let passed_on = control::line(&ShimReport::Guest { said: said.clone() });
        assert_eq!(passed_on.iter().filter(|byte| **byte == b'\n').count(), 1);
        // The limit `serve` has for a line of ours.
        assert!(passed_on.len() < 2 * LINE_LIMIT, "{} bytes", passed_on.len());
        let again: ShimReport = serde_json::from_slice(&passed_on).unwrap();
        assert_eq!(again, ShimReport::Guest { said });
    }));
}

/// The guest's log: what is told of it is bounded lines of text.
fn guest_log(data: &[u8]) {
    // No more than a pipe holds.
    let data = stretched(data, 60_000);
    let (read, write) = rustix::pipe::pipe().unwrap();
    let mut write = File::from(write);
    write.write_all(&data).unwrap();
    drop(write);
    let (reports, mut told) = broadcast::channel(1 << 12);
    block_on(guest_log::relay(read, reports));
    let mut bytes = 0;
    while let Ok(report) = told.try_recv() {
        let ShimReport::GuestError { line } = &report else { panic!("{report:?}") };
        assert!(!line.contains(char::is_control), "{line:?}");
        bytes += line.len();
        assert!(control::line(&report).len() < 2 * LINE_LIMIT);
    }
    // A byte that is no text becomes three.
    assert!(bytes <= 3 * data.len());
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
