//! Fuzz targets of what clients send to a guest, and of what programs inside a session make it read.
//! See `docs/fuzzing.md`.

#[path = "../../../fuzz/common/headers.rs"]
pub(crate) mod headers;
#[path = "../../../fuzz/common/input.rs"]
pub(crate) mod input;
#[path = "../../../fuzz/common/runtime.rs"]
pub(crate) mod runtime;
#[path = "../../../fuzz/common/scratch.rs"]
pub(crate) mod scratch;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;
#[path = "../../../fuzz/common/stretched.rs"]
pub(crate) mod stretched;

use crate::{curl, playwright};
use crate::{repl, runner, webdriver};

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("curl_answer", curl::fuzzing::curl_answer),
    ("curl_request", curl::fuzzing::curl_request),
    ("executor_answer", playwright::fuzzing::executor_answer),
    ("repl_answer", repl::fuzzing::repl_answer),
    ("runner_lines", runner::fuzzing::runner_lines),
    ("webdriver_messages", webdriver::fuzzing::webdriver_messages),
];

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
