//! Fuzz targets of what clients have the computer do. See
//! `docs/fuzzing.md`.

mod actions;
#[cfg(test)]
#[path = "../../../fuzz/common/seeds.rs"]
mod seeds;

/// A name, and what takes any bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] =
    &[("computer_actions", actions::computer_actions), ("key_names", actions::key_names)];

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_hold() {
        super::seeds::hold(super::TARGETS);
    }
}
