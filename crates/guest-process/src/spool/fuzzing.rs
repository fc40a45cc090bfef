//! The targets of this module.

use super::frame::{HEADER, MAX_PAYLOAD, Stream, header};
use super::reader::gather;

/// A segment file somebody has damaged: what is gathered was there, in order, and is of one stream.
pub(crate) fn spool_frames(data: &[u8]) {
    let mut bytes = data.to_vec();
    let Some((stream, filled, used)) = gather(&mut bytes) else { return };
    assert!(used <= data.len() && filled + HEADER <= used);
    // As written from the frames found: the same payload, frame for frame.
    let (mut at, mut payload) = (0, Vec::new());
    while at < used {
        let length: [u8; 4] = data[at + 1..at + HEADER].try_into().unwrap();
        let length = u32::from_le_bytes(length) as usize;
        assert!(length <= MAX_PAYLOAD && data[at..at + HEADER] == header(stream, length));
        payload.extend_from_slice(&data[at + HEADER..at + HEADER + length]);
        at += HEADER + length;
    }
    assert_eq!(bytes[HEADER..HEADER + filled], payload);
    assert!(stream != Stream::Lost || used == HEADER + filled);
}
