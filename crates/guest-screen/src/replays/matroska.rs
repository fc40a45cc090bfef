//! The least Matroska that carries raw pictures with their times to an encoder.
//!
//! ```text
//!  EBML header, Segment (no end), Info, Tracks: one, uncompressed, BGRA
//!  Cluster(time in ms, SimpleBlock(picture)), Cluster …
//! ```
//!
//! Raw video itself has no times, and the encoder's own clock would say when a picture was read and
//! not when it was taken.

/// An element: its id, its length in eight bytes, its content.
fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    let mut out = head(id, content.len() as u64);
    out.extend_from_slice(content);
    out
}

fn head(id: &[u8], length: u64) -> Vec<u8> {
    let mut out = id.to_vec();
    out.extend_from_slice(&(length | 1 << 56).to_be_bytes());
    out
}

fn number(id: &[u8], value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// Everything before the first picture.
pub(super) fn beginning(width: u32, height: u32) -> Vec<u8> {
    let ebml = [
        number(&[0x42, 0x86], 1),
        number(&[0x42, 0xf7], 1),
        number(&[0x42, 0xf2], 4),
        number(&[0x42, 0xf3], 8),
        element(&[0x42, 0x82], b"matroska"),
        number(&[0x42, 0x87], 4),
        number(&[0x42, 0x85], 2),
    ];
    // Times are in milliseconds.
    let info = [
        number(&[0x2a, 0xd7, 0xb1], 1_000_000),
        element(&[0x4d, 0x80], b"browserd"),
        element(&[0x57, 0x41], b"browserd"),
    ];
    let video = [
        number(&[0xb0], width.into()),
        number(&[0xba], height.into()),
        element(&[0x2e, 0xb5, 0x24], b"BGRA"),
    ];
    let track = [
        number(&[0xd7], 1),
        number(&[0x73, 0xc5], 1),
        number(&[0x83], 1),
        number(&[0x9c], 0),
        element(&[0x86], b"V_UNCOMPRESSED"),
        element(&[0xe0], &video.concat()),
    ];
    let tracks = element(&[0xae], &track.concat());
    [
        element(&[0x1a, 0x45, 0xdf, 0xa3], &ebml.concat()),
        // A length of all ones: not known.
        vec![0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        element(&[0x15, 0x49, 0xa9, 0x66], &info.concat()),
        element(&[0x16, 0x54, 0xae, 0x6b], &tracks),
    ]
    .concat()
}

/// What comes before the `length` bytes of a picture taken at `milliseconds`.
pub(super) fn before_picture(milliseconds: u64, length: u64) -> Vec<u8> {
    let time = number(&[0xe7], milliseconds);
    // Track 1, no time of its own, a picture to begin with.
    let block = [0x81, 0x00, 0x00, 0x80];
    let mut content = time;
    content.extend(head(&[0xa3], block.len() as u64 + length));
    content.extend(block);
    let mut out = head(&[0x1f, 0x43, 0xb6, 0x75], content.len() as u64 + length);
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_cover_what_follows() {
        let before = before_picture(1500, 10);
        let length =
            |at: usize| u64::from_be_bytes(before[at..at + 8].try_into().unwrap()) & !(1 << 56);
        assert_eq!(length(4), before.len() as u64 - 12 + 10);
        assert_eq!(&before[12..21], &[0xe7, 0x01, 0, 0, 0, 0, 0, 0, 8]);
        assert_eq!(u64::from_be_bytes(before[21..29].try_into().unwrap()), 1500);
        assert_eq!(length(30), 14);
    }
}
