//! Fuzz targets of what shims and guests say to `serve`. See `docs/fuzzing.md`.

#[path = "../../../fuzz/common/input.rs"]
pub(crate) mod input;
#[path = "../../../fuzz/common/pieces.rs"]
pub(crate) mod pieces;
#[path = "../../../fuzz/common/runtime.rs"]
pub(crate) mod runtime;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;
#[path = "../../../fuzz/common/stretched.rs"]
pub(crate) mod stretched;

use crate::local::fuzzing::{handoff_reply, shim_report};

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[("handoff_reply", handoff_reply), ("shim_report", shim_report)];

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
