//! Short inputs made long.

/// `data` with every byte 0xff in it replaced by 40,000 spaces, so that a short input makes lines
/// beyond every limit; `most` bytes at most.
pub(crate) fn stretched(data: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for byte in data {
        if out.len() >= most {
            break;
        }
        match byte {
            0xff => out.extend_from_slice(&[b' '; 40_000]),
            byte => out.push(*byte),
        }
    }
    out.truncate(most);
    out
}
