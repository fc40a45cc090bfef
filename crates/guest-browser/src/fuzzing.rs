//! Fuzz targets of what Chromium and the programs beside it print. See
//! `docs/fuzzing.md`.

#[path = "../../../fuzz/common/input.rs"]
pub(crate) mod input;
#[path = "../../../fuzz/common/runtime.rs"]
pub(crate) mod runtime;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;
#[path = "../../../fuzz/common/stretched.rs"]
pub(crate) mod stretched;

use crate::lines;

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[("program_lines", lines::fuzzing::program_lines)];

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
