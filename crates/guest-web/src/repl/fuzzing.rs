//! The targets of this module.

use browserd_api::repl::{ReplChannel, ReplContent};

use super::cell::Answer;
use super::shown::{ITEMS_LIMIT, Shown, TEXT_LIMIT};
use crate::fuzzing::stretched::stretched;

/// Lines of a runtime that a cell has taken over, and what is none as output: what is shown stays
/// within its limits, and a picture is one in name and in base64.
pub(crate) fn repl_answer(data: &[u8]) {
    let data = stretched(data, 2 * TEXT_LIMIT);
    let mut shown = Shown::default();
    for line in data.split(|byte| *byte == b'\n') {
        match serde_json::from_slice::<Answer>(line) {
            Ok(answer) => drop(answer.item.map(|item| shown.push(item))),
            Err(_) => shown.push_bytes(ReplChannel::Stdout, line),
        }
    }
    let mut text = 0;
    assert!(shown.items.len() <= ITEMS_LIMIT);
    for item in &shown.items {
        match item {
            ReplContent::Text { text: more, .. } => text += more.len(),
            ReplContent::Image { mime_type, data_b64 } => {
                assert!(mime_type.starts_with("image/") && !mime_type.contains("svg"));
                base64_simd::STANDARD.decode_to_vec(data_b64).unwrap();
            }
        }
    }
    assert!(text <= TEXT_LIMIT, "{text} bytes");
}
