//! One frame of a segment file: a tag, a length, the bytes.

/// Where bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stream {
    /// Standard output, or the terminal.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// Not output: the eight bytes are the number of bytes that could not be kept here.
    Lost = 3,
}

/// Bytes before the payload.
pub(super) const HEADER: usize = 5;

/// Longest frame. Sixteen whole pages: a process that floods writes files of full frames only, and
/// the kernel then keeps them in large pieces of memory.
pub(super) const MAX_FRAME: usize = 64 * 1024;

/// Longest payload of one frame; what is longer is kept in several.
pub(crate) const MAX_PAYLOAD: usize = MAX_FRAME - HEADER;

/// The header of a frame with `len` bytes, at most [`MAX_PAYLOAD`].
pub(super) fn header(stream: Stream, len: usize) -> [u8; HEADER] {
    let len = u32::try_from(len).unwrap_or(0).to_le_bytes();
    [stream as u8, len[0], len[1], len[2], len[3]]
}

/// Understands the header at the start of `bytes`: stream and payload length. `None` when it is
/// not a whole header or not one of ours.
pub(super) fn parse(bytes: &[u8]) -> Option<(Stream, usize)> {
    let (header, _) = bytes.split_at_checked(HEADER)?;
    let stream = match header[0] {
        1 => Stream::Stdout,
        2 => Stream::Stderr,
        3 => Stream::Lost,
        _ => return None,
    };
    let len = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
    (len <= MAX_PAYLOAD).then_some((stream, len))
}

/// Bytes of output a frame stands for, kept or lost.
pub(super) fn output_bytes(stream: Stream, payload: &[u8]) -> u64 {
    match (stream, payload) {
        (Stream::Lost, &[a, b, c, d, e, f, g, h]) => u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        (Stream::Lost, _) => 0,
        (_, payload) => payload.len() as u64,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn headers_come_back(tag in 1u8..4, len in 0usize..=MAX_PAYLOAD) {
            let stream = [Stream::Stdout, Stream::Stderr, Stream::Lost][usize::from(tag) - 1];
            prop_assert_eq!(parse(&header(stream, len)), Some((stream, len)));
        }

        #[test]
        fn any_bytes_are_understood_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            if let Some((_, len)) = parse(&bytes) {
                prop_assert!(len <= MAX_PAYLOAD);
            }
        }
    }
}
