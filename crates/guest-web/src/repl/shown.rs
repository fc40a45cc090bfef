//! What a cell showed, within limits.

use browserd_api::repl::{ReplChannel, ReplContent};

/// Most items.
pub(super) const ITEMS_LIMIT: usize = 10_000;
/// Most bytes of text.
pub(super) const TEXT_LIMIT: usize = 256 << 10;
/// Most base64 of one image: 8 MiB of bytes.
const IMAGE_LIMIT: usize = (8 << 20) / 3 * 4 + 8;
/// Most base64 of all images: 16 MiB of bytes.
const IMAGES_LIMIT: usize = (16 << 20) / 3 * 4 + 16;

const MIME_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// The runner keeps the same limits; here they hold whatever a cell made of the runner.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) items: Vec<ReplContent>,
    pub(super) truncated: bool,
    text: usize,
    images: usize,
}

impl Shown {
    pub(super) fn push(&mut self, item: ReplContent) {
        let fits = self.items.len() < ITEMS_LIMIT
            && match &item {
                ReplContent::Text { text, .. } => self.text + text.len() <= TEXT_LIMIT,
                ReplContent::Image { mime_type, data_b64 } => {
                    MIME_TYPES.contains(&mime_type.as_str())
                        && data_b64.len() <= IMAGE_LIMIT
                        && self.images + data_b64.len() <= IMAGES_LIMIT
                        && base64_simd::STANDARD.check(data_b64.as_bytes()).is_ok()
                }
            };
        if !fits {
            self.truncated = true;
            return;
        }
        match &item {
            ReplContent::Text { text, .. } => self.text += text.len(),
            ReplContent::Image { data_b64, .. } => self.images += data_b64.len(),
        }
        self.items.push(item);
    }

    /// What a program the cell started wrote.
    pub(super) fn push_bytes(&mut self, channel: ReplChannel, bytes: &[u8]) {
        let room = TEXT_LIMIT.saturating_sub(self.text);
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        if text.len() > room {
            self.truncated = true;
            text.truncate(text.floor_char_boundary(room));
        }
        if !text.is_empty() {
            self.push(ReplContent::Text { channel, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold() {
        let mut shown = Shown::default();
        shown.push_bytes(ReplChannel::Stdout, &vec![b'x'; TEXT_LIMIT - 1]);
        assert!(!shown.truncated);
        shown.push_bytes(ReplChannel::Stderr, "é".as_bytes());
        assert!(shown.truncated);
        assert_eq!(shown.items.len(), 1);
        let image = |mime: &str, data: &str| ReplContent::Image {
            mime_type: mime.into(),
            data_b64: data.into(),
        };
        shown.push(image("image/png", "AAAA"));
        assert_eq!(shown.items.len(), 2);
        shown.push(image("text/html", "AAAA"));
        shown.push(image("image/png", "not base64"));
        assert_eq!(shown.items.len(), 2);
    }
}
