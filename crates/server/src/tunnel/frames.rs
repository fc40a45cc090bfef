//! Where WebSocket frames begin and end in a stream of bytes.
//!
//! ```text
//!  header: 2 bytes ─▶ 0, 2 or 8 bytes of length ─▶ 0 or 4 bytes of mask ─▶ payload, skipped unread
//!    ▲                                                                        │
//!    └──────────────────────────── boundary ◀─────────────────────────────────┘
//! ```

const OPCODE: u8 = 0x0f;
const CLOSE: u8 = 0x8;
const MASKED: u8 = 0x80;

/// Follows frame headers; the payload is skipped.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct FrameTracker {
    /// Header bytes so far, and how many.
    header: [u8; 14],
    seen: usize,
    /// Payload bytes still to come.
    payload: u64,
    /// Whether a close frame went by: nothing may follow it.
    closed: bool,
}

impl FrameTracker {
    /// Takes note of bytes that went by.
    pub(crate) fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skip = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                bytes = &bytes[skip..];
                self.payload -= skip as u64;
                continue;
            }
            self.header[self.seen] = bytes[0];
            self.seen += 1;
            bytes = &bytes[1..];
            if self.seen == self.header_length() {
                self.payload = self.payload_length();
                self.closed |= self.header[0] & OPCODE == CLOSE;
                self.seen = 0;
            }
        }
    }

    /// Whether the next byte begins a frame.
    pub(crate) fn at_boundary(&self) -> bool {
        self.seen == 0 && self.payload == 0
    }

    /// Whether a close frame went by.
    pub(crate) fn closed(&self) -> bool {
        self.closed
    }

    /// Length of the header that is being read, as far as its bytes so far tell.
    fn header_length(&self) -> usize {
        if self.seen < 2 {
            return 2;
        }
        let mask = if self.header[1] & MASKED == 0 { 0 } else { 4 };
        mask + match self.header[1] & !MASKED {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    fn payload_length(&self) -> u64 {
        let h = &self.header;
        match h[1] & !MASKED {
            126 => u64::from(u16::from_be_bytes([h[2], h[3]])),
            127 => u64::from_be_bytes([h[2], h[3], h[4], h[5], h[6], h[7], h[8], h[9]]),
            short => u64::from(short),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame, written straight from the specification.
    fn frame(first: u8, mask: bool, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        let bit = if mask { 0x80 } else { 0 };
        match payload.len() {
            n @ 0..=125 => out.push(bit | n as u8),
            n @ 126..=65535 => {
                out.push(bit | 126);
                out.extend((n as u16).to_be_bytes());
            }
            n => {
                out.push(bit | 127);
                out.extend((n as u64).to_be_bytes());
            }
        }
        if mask {
            out.extend([1, 2, 3, 4]);
        }
        out.extend(payload);
        out
    }

    #[test]
    fn every_length_form_ends_where_it_should() {
        for length in [0, 1, 125, 126, 127, 65535, 65536, 200_000] {
            for mask in [false, true] {
                let bytes = frame(0x82, mask, &vec![0x88; length]);
                let mut tracker = FrameTracker::default();
                tracker.advance(&bytes[..bytes.len() - 1]);
                assert!(!tracker.at_boundary(), "{length} {mask}");
                tracker.advance(&bytes[bytes.len() - 1..]);
                assert!(tracker.at_boundary() && !tracker.closed(), "{length} {mask}");
            }
        }
    }

    #[test]
    fn a_close_frame_is_noticed_and_a_payload_that_looks_like_one_is_not() {
        let mut tracker = FrameTracker::default();
        tracker.advance(&frame(0x81, false, &[0x88, 0x00, 0x88, 0x00]));
        assert!(!tracker.closed());
        tracker.advance(&frame(0x88, false, &[0x03, 0xe8]));
        assert!(tracker.closed() && tracker.at_boundary());
    }

    #[test]
    fn absurd_lengths_do_no_harm() {
        let mut tracker = FrameTracker::default();
        tracker.advance(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]);
        tracker.advance(&vec![0; 1 << 20]);
        assert!(!tracker.at_boundary());
    }

    proptest! {
        #[test]
        fn chunking_changes_nothing(
            frames in prop::collection::vec((any::<u8>(), any::<bool>(), 0_usize..70_000), 1..6),
            cuts in prop::collection::vec(1_usize..9_000, 0..60),
        ) {
            let mut bytes = Vec::new();
            let mut boundaries = vec![0];
            for (first, mask, length) in &frames {
                bytes.extend(frame(*first, *mask, &vec![*first; *length]));
                boundaries.push(bytes.len());
            }
            let mut tracker = FrameTracker::default();
            let mut at = 0_usize;
            for cut in cuts.into_iter().chain(std::iter::repeat(usize::MAX)) {
                let end = at.saturating_add(cut).min(bytes.len());
                tracker.advance(&bytes[at..end]);
                at = end;
                prop_assert_eq!(tracker.at_boundary(), boundaries.contains(&at));
                if at == bytes.len() {
                    break;
                }
            }
            prop_assert_eq!(tracker.closed(), frames.iter().any(|(first, ..)| first & OPCODE == CLOSE));
        }

        #[test]
        fn no_input_panics(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..32)) {
            let mut tracker = FrameTracker::default();
            for chunk in chunks {
                tracker.advance(&chunk);
            }
        }
    }
}
