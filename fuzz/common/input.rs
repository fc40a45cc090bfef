//! What targets make of their bytes.

/// The size of pieces in which the rest arrives, and the rest.
pub(crate) fn cut(data: &[u8]) -> (usize, &[u8]) {
    match data.split_first() {
        Some((cut, rest)) => (usize::from(*cut).max(1), rest),
        None => (1, data),
    }
}
