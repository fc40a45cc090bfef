//! The targets of pictures and of which page they show.

use std::sync::Arc;

use browserd_chromium::cdp::{Event, SessionId};
use serde_json::value::RawValue;

use crate::frame::{Frame, PIXEL_LIMIT};
use crate::fuzzing::headers::first_line;
use crate::headless::{Picture, decode};
use crate::page_events::Pages;

/// A picture as Chromium sends it, or the JPEG alone: what is taken has as many pixels as it says.
pub(crate) fn screencast_picture(data: &[u8]) {
    let jpeg = match serde_json::from_slice::<Picture<'_>>(data) {
        Ok(picture) => base64_simd::STANDARD.decode_to_vec(picture.data.as_bytes()).ok(),
        Err(_) => Some(data.to_vec()),
    };
    let Some(frame) = jpeg.and_then(decode) else { return };
    let Frame { width, height, .. } = frame;
    let size = u64::from(width) * u64::from(height);
    assert!(size <= PIXEL_LIMIT && frame.pixels.len() as u64 == size * 4);
    let mut fitted = Vec::new();
    frame.fit(16, 9, &mut fitted);
    assert_eq!(fitted.len(), 16 * 9 * 4);
}

/// Events about pages, a line each, `method params`: no page is known twice, and none that has gone.
pub(crate) fn page_events(data: &[u8]) {
    let session: SessionId = serde_json::from_str("\"s\"").unwrap();
    let mut pages = Pages::on(session);
    let mut rest = data;
    while !rest.is_empty() {
        let (line, after) = first_line(rest);
        rest = after;
        let (method, params) = line.split_once(' ').unwrap_or((line, "{}"));
        let params = RawValue::from_string(params.to_owned()).ok();
        let event = Event { method: method.to_owned(), session: Some("s".into()), params };
        let before = pages.known().len();
        pages.heed(&Arc::new(event));
        let known = pages.known();
        assert!(known.len().abs_diff(before) <= 1);
        assert!(known.iter().all(|id| known.iter().filter(|other| *other == id).count() == 1));
    }
}
