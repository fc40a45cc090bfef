//! The targets of this module.

use browserd_api::replays::{DURATION_LIMIT, FRAMERATE_LIMIT, StartReplay};
use browserd_protocol::replay::{Ended, Started};
use serde_json::Value;

use super::range::{Part, asked};
use crate::fields::Checked;
use crate::fuzzing::headers::{first_line, headers};
use crate::relay::Answered;

/// What to record: what is taken is within its bounds; what is refused says which field.
pub(crate) fn body(body: &Value) {
    match Checked::<StartReplay>::of(body).finish() {
        Ok((StartReplay { framerate, max_duration_in_seconds, record_audio: _ }, _)) => {
            assert!(framerate.is_none_or(|rate| (1..=FRAMERATE_LIMIT).contains(&rate)));
            let fits = |seconds| (1..=DURATION_LIMIT).contains(&seconds);
            assert!(max_duration_in_seconds.is_none_or(fits));
        }
        Err(refusal) => assert!(!refusal.0.body().details.is_empty()),
    }
}

/// The size of a file, and headers: a part lies in the file and is not empty.
pub(crate) fn replay_range(data: &[u8]) {
    let (size, rest) = first_line(data);
    let size = size.parse().unwrap_or(10);
    match asked(&headers(rest), size, "\"tag\"") {
        Part::Range { start, length } => {
            assert!(length > 0 && start.checked_add(length).is_some_and(|end| end <= size));
        }
        Part::Whole | Part::Beyond => {}
    }
}

/// What a guest says about a recording: understood as it was meant, or not at all.
pub(crate) fn replay_answers(data: &[u8]) {
    let answer = Answered(bytes::Bytes::copy_from_slice(data));
    if let Ok(started) = answer.json::<Started>() {
        let again = serde_json::to_vec(&started).unwrap();
        assert_eq!(serde_json::from_slice::<Started>(&again).unwrap(), started);
    }
    if let Ok(ended) = answer.json::<Ended>() {
        let again = serde_json::to_vec(&ended).unwrap();
        assert_eq!(serde_json::from_slice::<Ended>(&again).unwrap(), ended);
    }
}
