//! Fuzz targets of what clients have the browser do, and of what comes out of it. See
//! `docs/fuzzing.md`.

#[path = "../../../fuzz/common/headers.rs"]
pub(crate) mod headers;
#[path = "../../../fuzz/common/input.rs"]
pub(crate) mod input;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;
#[path = "../../../fuzz/common/stretched.rs"]
pub(crate) mod stretched;

use crate::{curl, playwright, repl, runner, webdriver};

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
