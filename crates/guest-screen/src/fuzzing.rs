//! Fuzz targets of what Chromium shows. See
//! `docs/fuzzing.md`.

#[path = "../../../fuzz/common/headers.rs"]
pub(crate) mod headers;
mod pictures;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] =
    &[("page_events", pictures::page_events), ("screencast_picture", pictures::screencast_picture)];

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
