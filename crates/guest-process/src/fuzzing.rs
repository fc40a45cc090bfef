//! Fuzz targets of what is run inside, and of its output as it is kept. See
//! `docs/fuzzing.md`.

#[path = "../../../fuzz/common/headers.rs"]
pub(crate) mod headers;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;

use crate::{request, spool};

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("exec_request", request::fuzzing::exec_request),
    ("session_accounts", request::fuzzing::session_accounts),
    ("spool_frames", spool::fuzzing::spool_frames),
];

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
