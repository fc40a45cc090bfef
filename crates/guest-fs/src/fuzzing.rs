//! Fuzz targets of files, archives and logs inside the session. See
//! `docs/fuzzing.md`.

mod files;
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
#[path = "../../../fuzz/common/tree.rs"]
pub(crate) mod tree;

use crate::{archive, logs};

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("extension_zip", archive::fuzzing::extension_zip),
    ("file_form", files::file_form),
    ("file_names", files::file_names),
    ("file_range", files::file_range),
    ("log_lines", logs::fuzzing::log_lines),
    ("log_tail", logs::fuzzing::log_tail),
    ("tar_archive", archive::fuzzing::tar_archive),
    ("zip_archive", archive::fuzzing::zip_archive),
];

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
