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
mod small;
#[path = "../../../fuzz/common/stretched.rs"]
pub(crate) mod stretched;
#[path = "../../../fuzz/common/tree.rs"]
pub(crate) mod tree;

use crate::{browser, computer, curl, extensions, fs, logs, playwright, process, profile};
use crate::{repl, runner, screen, webdriver};

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("computer_actions", computer::fuzzing::computer_actions),
    ("curl_answer", curl::fuzzing::curl_answer),
    ("curl_request", curl::fuzzing::curl_request),
    ("exec_request", process::fuzzing::exec_request),
    ("executor_answer", playwright::fuzzing::executor_answer),
    ("extension_form", extensions::fuzzing::extension_form),
    ("extension_zip", small::extension_zip),
    ("file_form", fs::fuzzing::file_form),
    ("file_names", fs::fuzzing::file_names),
    ("file_range", fs::fuzzing::file_range),
    ("key_names", computer::fuzzing::key_names),
    ("log_lines", logs::fuzzing::log_lines),
    ("log_tail", logs::fuzzing::log_tail),
    ("page_events", screen::fuzzing::page_events),
    ("profile_cookies", profile::fuzzing::profile_cookies),
    ("program_lines", browser::fuzzing::program_lines),
    ("repl_answer", repl::fuzzing::repl_answer),
    ("runner_lines", runner::fuzzing::runner_lines),
    ("screencast_picture", screen::fuzzing::screencast_picture),
    ("session_accounts", process::fuzzing::session_accounts),
    ("spool_frames", process::fuzzing::spool_frames),
    ("tar_archive", fs::fuzzing::tar_archive),
    ("webdriver_messages", webdriver::fuzzing::webdriver_messages),
    ("zip_archive", fs::fuzzing::zip_archive),
];

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
