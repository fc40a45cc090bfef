//! Fuzz targets of profiles and of forms of extensions. See
//! `docs/fuzzing.md`.

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

use crate::{extensions, profile};

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("extension_form", extensions::fuzzing::extension_form),
    ("profile_cookies", profile::fuzzing::profile_cookies),
];

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
